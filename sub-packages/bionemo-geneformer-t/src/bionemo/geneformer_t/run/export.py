"""`geneformer-t export`: a checkpoint as a folder for transformers and for Geneformer's tools."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings

EVALUATION = "evaluation.json"
CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """What to export, and where to."""

    checkpoint: Path
    """Checkpoint of a trained model; or a folder with pretrained weights in Hugging Face's layout
    and their dictionaries."""
    output_dir: Path
    """Folder to write; new or empty."""
    evaluation: Path | None = None
    """The evaluation.json of this checkpoint, for the model card; by default the one in the run's
    folder, if there is one."""
    name: str | None = None
    """Title of the model card; by default the name of the folder."""


@command(ExportSettings)
def export(settings: ExportSettings) -> Path:
    """Write a folder that transformers' `BertForMaskedLM.from_pretrained` loads.

    It holds config.json, model.safetensors, the vocabulary and medians as JSON and as Geneformer's
    own dictionaries, and a model card. Weights keep their bits.
    """
    from bionemo.geneformer_t.inference.checkpoint import load_encoder
    from bionemo.geneformer_t.inference.export import left_out, write_model
    from bionemo.geneformer_t.inference.fingerprint import model_fingerprint
    from bionemo.geneformer_t.report.model_card import model_card
    from bionemo.geneformer_t.run.data_folder import is_done, new_data_folder

    model = load_encoder(settings.checkpoint)
    evaluation, where = read_evaluation(settings)
    card = model_card(model, settings.name or settings.output_dir.name, evaluation)
    record = {
        "command": "export",
        "model": model_fingerprint(model),
        "card": hashlib.sha256(card.encode()).hexdigest(),
    }
    if is_done(settings.output_dir, record):
        print(f"{settings.output_dir} already holds this export of {settings.checkpoint}")
        return settings.output_dir
    with new_data_folder(settings.output_dir, record) as folder:
        write_model(model, folder)
        (folder / CARD).write_text(card, encoding="utf-8")
    scores = f"scores from {where}" if where else "no scores, for none were measured"
    print(f"exported {settings.checkpoint} with {scores}")
    for what in left_out(model):
        print(f"note: other tools know no {what}; they predict without it")
    print(settings.output_dir)
    return settings.output_dir


def read_evaluation(settings: ExportSettings) -> tuple[Mapping[str, Any] | None, Path | None]:
    """The scores of the checkpoint and the file that they are in, if there is one.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is damaged, holds no scores, or those of another checkpoint.
    """
    from bionemo.geneformer_t.dictionaries import read_json
    from bionemo.geneformer_t.report.model_card import scores_table

    path = settings.evaluation
    if path is None:
        path = settings.checkpoint.resolve().parent.parent / EVALUATION
        if settings.checkpoint.is_dir() or not path.is_file():
            return None, None
    if not path.is_file():
        raise FileNotFoundError(
            f"evaluation: expected the {EVALUATION} that `geneformer-t evaluate --output_dir DIR` "
            f"writes at {path}; there is none"
        )
    values = read_json(path)
    try:
        scores_table(values)
    except ValueError as error:
        raise ValueError(f"evaluation: {path}: {error}") from error
    scored = Path(str(values.get("checkpoint")))
    if scored.name != settings.checkpoint.name:
        if settings.evaluation is None:
            return None, None
        raise ValueError(
            f"evaluation: {path} holds the scores of {scored}, not of {settings.checkpoint}; "
            "evaluate this checkpoint, or leave evaluation out"
        )
    return values, path


if __name__ == "__main__":
    main(export)
