"""A trained model from its checkpoint, read without running anything in it, and data for it.

Model and data must mean the same genes by the same ids. What a checkpoint holds beside its weights
is in `model/checkpoint_contents.py`, what a run adds to resume from in `training/checkpointing.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from bionemo.geneformer_t.config import BioBertConfig, InferencePrecision, PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.folder import MEDIANS, VOCAB
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.checkpoint_contents import checkpoint_entry
from bionemo.geneformer_t.model.compatibility import check_agreement
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of
from bionemo.geneformer_t.model.products import advise_on_bfloat16
from bionemo.geneformer_t.model.step.settings import StepSettings
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.weight_checks import (
    HYPER_PARAMETERS,
    WEIGHTS,
    DamagedWeightsError,
    check_sizes_of,
    naming,
)
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.safe_files import load_plain
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
    axes: CanonicalAxes | None
    memory: KnnInterpolation | None
    transitions: TransitionFit | None
    step: int
    """Optimizer steps behind it."""
    epoch: int
    num_weights: int
    run_settings: Mapping[str, Any] | None
    """Settings of the run when it wrote this; None where that is not recorded."""
    fingerprint: str
    """Of weights, vocabulary, axes and memory; see `inference.model_fingerprint`."""


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
    content = load_plain(path, device=device, verify=is_zipfile(path))
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
        steps = StepSettings(**settings)
        model = NextCellModel(config, steps.attention_backend)
        model.net.set_matmul_backend(steps.matmul_backend)
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
        axes=model.axes,
        memory=model.memory,
        transitions=model.transitions,
        step=content.get("global_step", 0),
        epoch=content.get("epoch", 0),
        num_weights=sum(parameter.numel() for parameter in model.parameters()),
        run_settings=_run_settings(content),
        fingerprint=model_fingerprint(model),
    )


def recorded_settings(path: Path) -> Mapping[str, Any] | None:
    """The settings of the run that wrote a checkpoint; None where they are not recorded.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As `read_checkpoint`.
    """
    return _run_settings(read_checkpoint(path))


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


_SHOWN = 12


def load_model(checkpoint: Path | str, precision: InferencePrecision = "32-true") -> NextCellModel:
    """A trained model in evaluation mode, on the GPU where there is one.

    Args:
        checkpoint: A file.
        precision: What it computes in.

    Raises:
        TypeError: It is no path.
        FileNotFoundError: No such file.
        ValueError: It is damaged, holds no Geneformer-T model, or one without a vocabulary or with
            one that is not of its sizes.
    """
    checkpoint = _path_of(checkpoint)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(checkpoint, read_checkpoint(checkpoint, device)).to(device)
    model.loaded_from = checkpoint
    try:
        check_agreement(model.config, None, model.required_vocab(), settings_of(model))
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    return _computing_in(precision, model).eval()


def trained_model(model: NextCellModel | Path | str) -> NextCellModel:
    """The model itself, or that of a checkpoint.

    Raises:
        TypeError: It is neither a model nor a path.
        FileNotFoundError: No such file.
        ValueError: As `load_model`.
    """
    return model if isinstance(model, NextCellModel) else load_model(model)


def load_encoder(source: Path | str, precision: InferencePrecision = "32-true") -> NextCellModel:
    """A model to read cells with: a checkpoint, or a folder of weights in Hugging Face's layout.

    Args:
        source: A file or a folder.
        precision: What it computes in.

    Raises:
        TypeError: It is no path.
        FileNotFoundError: There is neither, or the folder lacks a file.
        ValueError: As `load_model` and `TemporalGeneformerModel.from_pretrained`.
    """
    source = _path_of(source)
    if not source.is_dir():
        return load_model(source, precision)
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = TemporalGeneformerModel.from_pretrained(source).to(device)
    return _computing_in(precision, model).eval()


def _computing_in(precision: InferencePrecision, model: NextCellModel) -> NextCellModel:
    model.precision = precision
    advise_on_bfloat16(precision, model.device)
    return model


def _path_of(model: Any) -> Path:
    if not isinstance(model, Path | str):
        raise TypeError(
            "model: expected a trained model or the path of its checkpoint; got "
            f"{type(model).__name__}"
        )
    return Path(model)


def open_split(
    model: NextCellModel,
    split: Path | CellStore,
    neighbor_key: str | None = None,
    *,
    as_trained: bool = False,
) -> TemporalGeneformerDataset:
    """The cells of a split, encoded for a model, with their successors.

    Args:
        model: Its vocabulary, medians and pair settings are used.
        split: A folder such as data/test, or its cells where they are open already.
        neighbor_key: The graph to follow; by default that of the training.
        as_trained: Successors are shuffled as in training, where the model was trained on shuffled
            ones; otherwise they are the true ones.

    Raises:
        ValueError: The split carries another vocabulary, or the model follows no graph.
    """
    model.require_next_cells()
    settings = settings_of(model).for_scoring()
    if not as_trained:
        settings = replace(settings, shuffle_successors=False)
    if neighbor_key is not None:
        settings = replace(settings, neighbor_key=neighbor_key)
    folder, store = (split, None) if isinstance(split, Path) else (split.split_dir, split)
    check_vocab(model, folder)
    vocab = model.required_vocab()
    return TemporalGeneformerDataset.from_folder(folder, vocab, settings, store=store)


def check_vocab(model: NextCellModel, split_dir: Path) -> None:
    """Refuse a split that was prepared for another vocabulary; one without files is fine.

    Raises:
        ValueError: Names both vocabularies.
    """
    files = split_dir / VOCAB, split_dir / MEDIANS
    if not all(file.is_file() for file in files):
        return
    mine, theirs = model.required_vocab(), GeneVocab.read(*files)
    if mine.fingerprint != theirs.fingerprint:
        raise ValueError(
            f"{split_dir} was prepared with vocabulary {theirs.fingerprint[:_SHOWN]} "
            f"({len(theirs):,} tokens), the checkpoint was trained with "
            f"{mine.fingerprint[:_SHOWN]} ({len(mine):,} tokens); tokens or medians differ, so ids "
            f"and ranks would mean something else. Give the .h5ad file itself, which is encoded "
            f"with the checkpoint's vocabulary, or remove {VOCAB} and {MEDIANS} from the folder"
        )
