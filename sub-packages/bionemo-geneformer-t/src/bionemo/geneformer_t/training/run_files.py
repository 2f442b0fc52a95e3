"""Names of the files in the folder of a run, for those who read it without training."""

from pathlib import Path

CHECKPOINTS = "checkpoints"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
LOSS_CURVE = "loss_curve.png"
PRETRAINED_FILE = "pretrained.json"


def run_dir(checkpoint: Path) -> Path:
    """The folder of the run that wrote a checkpoint, or the one that the file is in."""
    parent = checkpoint.parent
    return parent.parent if parent.name == CHECKPOINTS else parent
