"""A checkpoint and the cells it can read: both must mean the same genes by the same ids."""

from dataclasses import replace
from pathlib import Path

import torch

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.folder import MEDIANS, VOCAB
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.inference.checkpoint_file import build_model, read_checkpoint
from bionemo.geneformer_t.model.compatibility import check_agreement
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.vocab import GeneVocab

_SHOWN = 12


def load_model(checkpoint: Path) -> NextCellModel:
    """A trained model in evaluation mode, on the GPU where there is one.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is damaged, holds no Geneformer-T model, or one without a vocabulary or with
            one that is not of its sizes.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(checkpoint, read_checkpoint(checkpoint, device)).to(device)
    try:
        check_agreement(model.config, None, model.required_vocab(), settings_of(model))
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    return model.eval()


def load_encoder(source: Path) -> NextCellModel:
    """A model to read cells with: a checkpoint, or a folder of weights in Hugging Face's layout.

    Raises:
        FileNotFoundError: There is neither, or the folder lacks a file.
        ValueError: As `load_model` and `TemporalGeneformerModel.from_pretrained`.
    """
    if not source.is_dir():
        return load_model(source)
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TemporalGeneformerModel.from_pretrained(source).to(device).eval()


def settings_of(model: NextCellModel) -> PairSettings:
    """How the model's pairs were made in training.

    A model that was never given any was saved without data; its positions set the length then.
    """
    return model.pair_settings or PairSettings(seq_length=model.config.max_position_embeddings)


def open_split(
    model: NextCellModel, split: Path | CellStore, neighbor_key: str | None = None
) -> TemporalGeneformerDataset:
    """The cells of a split, encoded for a model, with their true successors.

    Args:
        model: Its vocabulary, medians and pair settings are used.
        split: A folder such as data/test, or its cells where they are open already.
        neighbor_key: The graph to follow; by default that of the training.

    Raises:
        ValueError: The split carries another vocabulary, or the model follows no graph.
    """
    model.require_next_cells()
    settings = replace(settings_of(model), shuffle_successors=False, context_dropout=0.0)
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
