"""What does a model owe to its training and its graph, and how far could it still go?

    python benchmarks/controls.py [--seeds 1 2 3] [--num_cells 3000] [--num_epochs 8] [--folder DIR]

On one simulated differentiation the demo's model is trained with several seeds, and beside each a
control: the same training with the successors of every split dealt to random current cells. All are
judged by the true successors of the test cells, beside random weights, the baselines, and the
simulator's own distribution, which none can be expected to reach.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from measure import report

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.run.demo import DemoSettings
from bionemo.geneformer_t.run.demo import _training as demo_training
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer


def evaluated(data: Path, folder: Path, training: dict[str, Any], seed: int) -> Evaluation:
    """A model and its control of one seed."""
    checkpoint = train_temporal_geneformer(
        data_dir=data, output_dir=folder / f"model-{seed}", **{**training, "seed": seed}
    )
    return evaluate(checkpoint=checkpoint, data_dir=data, max_cells=0, controls=True)


def row(name: str, found: list[Evaluation]) -> dict[str, Any]:
    """One predictor: its loss, and what the model of the same seed gains over it."""
    losses = [one.rows[name].all.cross_entropy for one in found]
    above = [one.rows[MODEL].all.cross_entropy for one in found]
    gains = [loss - mine for loss, mine in zip(losses, above, strict=True)]
    beaten = ""
    if name in found[0].advantages:
        number = sum(one.advantages[name].all.verdict == "better" for one in found)
        beaten = f"{number} of {len(found)}"
    return {
        "predictor": name,
        "nats": mean(losses),
        "sd over seeds": stdev(losses) if len(losses) > 1 else 0.0,
        "model gains": mean(gains),
        "beyond the interval": beaten,
    }


def main() -> None:
    """Train, evaluate, print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--num_cells", type=int, default=DemoSettings.num_cells)
    parser.add_argument("--num_epochs", type=int, default=DemoSettings.num_epochs)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    data = simulate(output_dir=folder / "data", num_cells=options.num_cells)
    training = demo_training(DemoSettings(num_epochs=options.num_epochs))
    found = [evaluated(data, folder, training, seed) for seed in options.seeds]
    report("controls", [row(name, found) for name in found[0].rows], seeds=options.seeds)


if __name__ == "__main__":
    main()
