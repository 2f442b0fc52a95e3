"""`geneformer-t export`: a checkpoint as a folder for transformers and for Geneformer's tools."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """What to export, and where to write it."""

    checkpoint: Path
    """Checkpoint of a trained model; or a folder with pretrained weights in Hugging Face's layout
    and their dictionaries."""
    output_dir: Path
    """Folder to write, which must be new or empty."""
    evaluation: Path | None = None
    """The evaluation.json with the scores for the model card. By default, the one in the folder of
    the training run is used, if its scores were computed with exactly these weights."""
    name: str | None = None
    """Title of the model card; by default the name of the folder."""


@command(ExportSettings)
def export(settings: ExportSettings) -> Path:
    """Write a folder that `BertForMaskedLM.from_pretrained` of transformers can load.

    The folder contains config.json, model.safetensors, the vocabulary and the medians (as JSON and
    as Geneformer's dictionaries), and a model card. The weights are those of the checkpoint,
    unchanged.
    """
    from bionemo.geneformer_t.data.write_folder import is_done, new_data_folder
    from bionemo.geneformer_t.inference.checkpoint import load_encoder
    from bionemo.geneformer_t.inference.huggingface_export import left_out, write_model
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
    from bionemo.geneformer_t.report.model_card import model_card

    model = load_encoder(settings.checkpoint)
    fingerprint = model_fingerprint(model)
    evaluation, about_scores = read_evaluation(settings, fingerprint)
    card = model_card(model, settings.name or settings.output_dir.name, evaluation)
    record = {
        "command": "export",
        "model": fingerprint,
        "card": hashlib.sha256(card.encode()).hexdigest(),
    }
    if is_done(settings.output_dir, record):
        print(f"{settings.output_dir} already contains this export of {settings.checkpoint}")
        return settings.output_dir
    with new_data_folder(settings.output_dir, record) as folder:
        write_model(model, folder)
        (folder / CARD).write_text(card, encoding="utf-8")
    print(f"exported {settings.checkpoint} with {about_scores}")
    for what in left_out(model):
        print(f"note: other tools do not support the {what}, and predict without it")
    print(settings.output_dir)
    return settings.output_dir


def read_evaluation(
    settings: ExportSettings, fingerprint: str
) -> tuple[Mapping[str, Any] | None, str]:
    """The scores of the checkpoint, or None, and a sentence on them.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is damaged, has no scores, or has those of other weights.
    """
    from bionemo.geneformer_t.report.evaluation_files import (
        EVALUATION,
        Scored,
        difference,
        read_scores,
        scores_beside,
    )
    from bionemo.geneformer_t.training.run_files import run_dir

    wanted, path = Scored(model=fingerprint), settings.evaluation
    if path is None:
        folder = run_dir(settings.checkpoint.resolve())
        if settings.checkpoint.is_dir() or not (folder / EVALUATION).is_file():
            return None, "no scores, because there are none"
        values, words = scores_beside(folder, wanted)
        return values, f"scores from {words}" if values is not None else f"no scores: {words}"
    if not path.is_file():
        raise FileNotFoundError(
            f"evaluation: expected the {EVALUATION} that `geneformer-t evaluate --output_dir DIR` "
            f"writes at {path}; there is none"
        )
    try:
        values = read_scores(path)
    except ValueError as error:
        raise ValueError(f"evaluation: {error}") from error
    reason = difference(values, wanted)
    if reason is not None:
        raise ValueError(
            f"evaluation: {path} does not have the scores of {settings.checkpoint}: {reason}. "
            "Evaluate this checkpoint, or leave evaluation out"
        )
    return values, f"scores from {path}"


if __name__ == "__main__":
    main(export)
