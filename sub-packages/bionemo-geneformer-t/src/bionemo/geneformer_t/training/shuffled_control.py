"""The control of a run: the same settings on shuffled successors, in a folder inside the run's.

It is a run of its own, with its own lock, checkpoints and config.yaml, and it is resumed like any
other. When it is finished, `best.json` names its best checkpoint; evaluations of the run's
checkpoints find it there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.dictionaries import read_json
from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.training.resume_settings import OnResume, changes, described
from bionemo.geneformer_t.training.run_files import CHECKPOINTS, CONFIG_FILE
from bionemo.geneformer_t.training.settings import LAST, TrainSettings

FOLDER = "shuffled"
BEST = "best.json"
_MAY_DIFFER = (
    "shuffle_successors", "controls", "final_evaluation", "use_wandb", "wandb_project",
    "save_top_k", "checkpoint_every_n_steps", "checkpoint_every_minutes", "log_every_n_steps",
    "accelerator", "strategy", "attention_backend", "matmul_backend", "recompute", "compile",
)  # fmt: skip
"""Settings that do not change what is learned, and those that make it a control."""


@dataclass(frozen=True, kw_only=True)
class FoundControl:
    """The control beside a checkpoint."""

    checkpoint: Path | None = None
    """Its best; None where there is none."""
    note: str = ""
    """Why one that was begun is not there yet."""


def control_settings(settings: TrainSettings) -> TrainSettings:
    """The settings of the control of a run. It is scored together with the model, not by itself.

    W&B shows one run for each process, which is the model's.
    """
    is_resumed = settings.resume_from_checkpoint is not None
    return replace(
        settings,
        output_dir=settings.output_dir / FOLDER,
        shuffle_successors=True,
        controls=False,
        final_evaluation=False,
        use_wandb=False,
        resume_from_checkpoint=LAST if is_resumed else None,
    )


def begin(folder: Path) -> None:
    """Forget the best checkpoint of an earlier part of the control: it may be another one now."""
    (folder / BEST).unlink(missing_ok=True)


def finish(folder: Path, best: Path) -> None:
    """Name the best checkpoint of a control that is finished."""
    write_text(folder / BEST, json.dumps({"checkpoint": best.name}))


def find_control(run: Path) -> FoundControl:
    """The control in the folder of a run."""
    folder = run / FOLDER
    if not (folder / CONFIG_FILE).is_file():
        return FoundControl()
    path = folder / BEST
    name = read_json(path).get("checkpoint") if path.is_file() else None
    checkpoint = folder / CHECKPOINTS / str(name)
    if name is None or not checkpoint.is_file():
        return FoundControl(
            note=f"The control in {folder} is not finished, and is not scored; repeat the command "
            "of the training with --resume_from_checkpoint last."
        )
    return FoundControl(checkpoint=checkpoint)


def other_settings(model: Mapping[str, Any] | None, control: Mapping[str, Any] | None) -> str:
    """Settings in which a control differs from its model, in words; empty where it does not.

    Args:
        model: The settings in the model's checkpoint; None where there are none.
        control: The settings in the control's.
    """
    if model is None or control is None:
        return ""
    kinds = (OnResume.USED, OnResume.BETWEEN_EPOCHS, OnResume.REFUSED)
    found = changes(model, control, *kinds)
    found = {name: both for name, both in found.items() if name not in _MAY_DIFFER}
    if not found:
        return ""
    return f"The control was trained with other settings than the model: {described(found)}."
