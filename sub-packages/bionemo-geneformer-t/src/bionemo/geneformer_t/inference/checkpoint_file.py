"""Checkpoint files, read without running anything in them; every damage is told by name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.step.settings import StepSettings
from bionemo.geneformer_t.model.weight_checks import (
    HYPER_PARAMETERS,
    WEIGHTS,
    DamagedWeightsError,
    check_sizes_of,
    naming,
)
from bionemo.geneformer_t.model.weights.checkpoint_entry import checkpoint_entry
from bionemo.geneformer_t.model.weights.safe_files import load_plain
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab


@dataclass(frozen=True, kw_only=True)
class CheckpointSummary:
    """What a checkpoint says of itself."""

    path: Path
    version: str
    """The package that wrote it."""
    isolation_rule: int
    config: BioBertConfig
    vocab: GeneVocab | None
    pair_settings: PairSettings | None
    provenance: Provenance | None
    memory: KnnInterpolation | None
    step: int
    """Optimizer steps behind it."""
    epoch: int
    num_weights: int
    run_settings: Mapping[str, Any] | None
    """Settings of the run when it wrote this; None where that is not recorded."""
    fingerprint: str
    """Of weights, vocabulary and memory; see `inference.model_fingerprint`."""


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of this package: tensors and plain values.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, asks to run code, or is another program's.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"checkpoint: expected a file at {path}; there is none. A training run keeps its "
            "checkpoints in OUTPUT_DIR/checkpoints"
        )
    content = load_plain(path, device=device)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds no Geneformer-T model but a {type(content).__name__}; give a "
            "checkpoint that `geneformer-t train` wrote"
        )
    try:
        checkpoint_entry(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    missing = [name for name in (HYPER_PARAMETERS, WEIGHTS) if name not in content]
    if missing:
        raise ValueError(
            f"{path} is an incomplete checkpoint: it lacks {' and '.join(missing)}. Write it again"
        )
    return content


def build_model(path: Path, content: dict[str, Any]) -> NextCellModel:
    """The model in what `read_checkpoint` returns.

    Raises:
        ValueError: The weights are not finite, or not those of the sizes that the checkpoint
            states: nothing is built then.
    """
    with naming(path), _understanding(path, content):
        check_sizes_of(content)
        settings = dict(content[HYPER_PARAMETERS])
        config = BioBertConfig.from_dict(settings.pop("config"))
        model = NextCellModel(config, StepSettings(**settings).attention_backend)
        model.read_entry(content)
    try:
        model.load_state_dict(content[WEIGHTS])
    except RuntimeError as error:
        raise ValueError(
            f"{path} is damaged: its weights do not match its own settings. {error}"
        ) from error
    return model


def summarise_checkpoint(path: Path) -> CheckpointSummary:
    """Read a checkpoint and say what is in it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As `read_checkpoint` and `build_model`.
    """
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint

    content = read_checkpoint(path)
    model = build_model(path, content)
    entry = checkpoint_entry(content)
    return CheckpointSummary(
        path=path,
        version=str(entry["version"]),
        isolation_rule=entry.get("isolation_rule", 1),
        config=model.config,
        vocab=model.vocab,
        pair_settings=model.pair_settings,
        provenance=model.provenance,
        memory=model.memory,
        step=content.get("global_step", 0),
        epoch=content.get("epoch", 0),
        num_weights=sum(parameter.numel() for parameter in model.parameters()),
        run_settings=_run_settings(content),
        fingerprint=model_fingerprint(model),
    )


def _run_settings(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What `training.checkpointing.RunCheckpoints` wrote beside the weights."""
    found: Any = content
    for name in ("callbacks", "RunCheckpoints", "settings"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) and found else None


@contextmanager
def _understanding(path: Path, content: dict[str, Any]) -> Iterator[None]:
    """Settings that this version does not know come from a newer one."""
    try:
        yield
    except DamagedWeightsError:
        raise
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} was written by geneformer-t {checkpoint_entry(content).get('version')} and "
            f"holds what this version cannot read: {error}. Update the package, or train again"
        ) from error
