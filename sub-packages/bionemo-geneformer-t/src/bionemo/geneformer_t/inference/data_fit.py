"""Whether a checkpoint and a data folder fit each other, finding by finding, in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bionemo.geneformer_t.config import PairSettings, positions_needed
from bionemo.geneformer_t.data.fingerprints import are_same_cells, graph_fingerprint
from bionemo.geneformer_t.data.inventory import DataInventory, SplitInventory
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab

LEAST_COUNTS = 0.5
"""Least fraction of a split's counts that must be on genes of the vocabulary, as in `prepare`."""
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    verdict: Literal["good", "note", "wrong"]
    text: str


def examine_data(data: DataInventory) -> list[Finding]:
    """Whether a data folder is sound in itself."""
    return [*_own_vocabularies(data), *_counts(data, "the folder's vocabulary"), *_shared(data)]


def examine_fit(checkpoint: CheckpointSummary, data: DataInventory) -> list[Finding]:
    """Whether a checkpoint can read a data folder, which was listed with its vocabulary."""
    if checkpoint.vocab is None or checkpoint.pair_settings is None:
        text = (
            "the checkpoint carries no vocabulary: it was saved before the model met any data. "
            "Train it with a TemporalGeneformerDataModule"
        )
        return [Finding(verdict="wrong", text=text)]
    return [
        _same_vocab(checkpoint.vocab, data),
        *_own_vocabularies(data),
        *_counts(data, "the checkpoint's vocabulary"),
        *_lengths(checkpoint, data),
        *_graphs(checkpoint.vocab, checkpoint.pair_settings, data),
        *_trained_on(checkpoint, data),
        *_shared(data),
    ]


def difference(mine: GeneVocab, theirs: GeneVocab) -> str:
    """How the vocabulary of data differs from that of a checkpoint, in words."""
    if mine.tokens == theirs.tokens:
        number = sum(mine.medians[gene] != theirs.medians[gene] for gene in mine.genes)
        return (
            f"both list the same {len(mine):,} tokens, but the medians of {number:,} genes differ"
        )
    shared = len(set(mine.genes) & set(theirs.genes))
    if shared == len(mine.genes) == len(theirs.genes):
        return f"both hold the same {shared:,} genes, but their tokens have other ids"
    return (
        f"the checkpoint has {len(mine.genes):,} genes, the data {len(theirs.genes):,}, and "
        f"{shared:,} are in both"
    )


def _same_vocab(mine: GeneVocab, data: DataInventory) -> Finding:
    theirs = data.vocab
    if theirs is None:
        text = "the data have no vocabulary of their own; the checkpoint's is used"
        return Finding(verdict="note", text=text)
    if theirs.fingerprint == mine.fingerprint:
        text = f"both have vocabulary {mine.fingerprint[:_SHOWN]}, with the same medians"
        return Finding(verdict="good", text=text)
    text = (
        f"the checkpoint was trained with vocabulary {mine.fingerprint[:_SHOWN]}, the data were "
        f"prepared with {theirs.fingerprint[:_SHOWN]}: {difference(mine, theirs)}. Prepare the "
        "data with the checkpoint's vocabulary and medians, or give the .h5ad files themselves to "
        "`geneformer-t predict` and `embed`"
    )
    return Finding(verdict="wrong", text=text)


def _own_vocabularies(data: DataInventory) -> Iterator[Finding]:
    """Splits may lack the vocabulary's files, but may not disagree with `train`."""
    for name, split in data.splits.items():
        theirs = split.own_vocab
        if data.vocab and theirs and theirs.fingerprint != data.vocab.fingerprint:
            text = (
                f"{name} carries another vocabulary or other medians than the training cells "
                f"({theirs.fingerprint[:_SHOWN]}, not {data.vocab.fingerprint[:_SHOWN]}); copy "
                "those of train there"
            )
            yield Finding(verdict="wrong", text=text)


def _counts(data: DataInventory, whose: str) -> Iterator[Finding]:
    for name, split in data.splits.items():
        enough = split.counts_known >= LEAST_COUNTS
        text = (
            f"{name}: {split.counts_known:.1%} of the counts and {split.genes_known:,} of "
            f"{split.genes:,} genes are in {whose}"
        )
        if not enough:
            text += (
                f"; at least {LEAST_COUNTS:.0%} of the counts should be. The data call genes like "
                f"{', '.join(split.store.gene_names[:3])}: another species, or another kind of id?"
            )
        yield Finding(verdict="good" if enough else "wrong", text=text)
        yield from (Finding(verdict="note", text=f"{name}: {note}") for note in split.left_out)
        if split.empty_cells:
            text = f"{name}: {split.empty_cells:,} cells express no gene of {whose}"
            yield Finding(verdict="note", text=text)


def _lengths(checkpoint: CheckpointSummary, data: DataInventory) -> Iterator[Finding]:
    settings, positions = checkpoint.pair_settings, checkpoint.config.max_position_embeddings
    assert settings is not None
    needed = positions_needed(settings, checkpoint.config.position_scheme)
    if needed > positions:
        text = (
            f"seq_length {settings.seq_length:,} takes {needed:,} positions, but the model has "
            f"{positions:,}"
        )
        yield Finding(verdict="wrong", text=text)
    for name, split in data.splits.items():
        read, typical = settings.genes_per_cell, split.genes_per_cell
        text = (
            f"{name}: median genes per cell {typical:,}; with seq_length "
            f"{settings.seq_length:,} the model reads the top {read:,}"
        )
        cut = typical > read
        text += ", so lower ranks are cut off" if cut else ", which is enough"
        yield Finding(verdict="note" if cut else "good", text=text)


def _usable_graph(
    name: str, split: SplitInventory, vocab: GeneVocab, settings: PairSettings
) -> Finding:
    """Whether pairs can be made of a split, as `evaluate` and a further training make them."""
    key = settings.neighbor_key
    if split.genes_known:  # that none is known is said of its counts
        try:
            TemporalGeneformerDataset.from_folder(split.folder, vocab, settings.for_scoring())
        except (ValueError, KeyError) as error:
            text = str(error.args[0] if isinstance(error, KeyError) else error)
            return Finding(verdict="wrong", text=f"{name}: {text}")
    return Finding(verdict="good", text=f"{name} has successors under {key!r}")


def _graphs(vocab: GeneVocab, settings: PairSettings, data: DataInventory) -> Iterator[Finding]:
    key = settings.neighbor_key
    if settings.objective == "mlm":
        text = "the model was trained on single cells (objective mlm) and follows no graph"
        yield Finding(verdict="note", text=text)
        return
    for name, split in data.splits.items():
        if split.serves(key):
            yield _usable_graph(name, split, vocab, settings)
            continue
        held = ", ".join(map(repr, split.graphs)) or "none"
        text = (
            f"{name} has no successors under {key!r}, which the model was trained to follow; it "
            f"holds {held}. Give another one to `evaluate` with --neighbor_key, or add this one"
        )
        yield Finding(verdict="wrong", text=text)


def _trained_on(checkpoint: CheckpointSummary, data: DataInventory) -> Iterator[Finding]:
    """Where the training cells are, so that a model is not scored on them by mistake."""
    trained = checkpoint.provenance
    if trained is None:
        text = "the checkpoint does not say what cells it was trained on"
        yield Finding(verdict="note", text=text)
        return
    assert checkpoint.vocab is not None
    same = [
        name
        for name, split in data.splits.items()
        if are_same_cells(trained.data_fingerprint, split.store, checkpoint.vocab)
    ]
    for name in same:
        if name == "train":
            yield _same_graph(checkpoint, trained, data.splits[name])
        else:
            text = f"{name} holds the very cells that the model was trained on; scores mean nothing"
            yield Finding(verdict="wrong", text=text)
    if not same:
        text = (
            f"the model was trained on {trained.num_cells:,} other cells, of {trained.data_name!r} "
            f"({trained.data_fingerprint[:_SHOWN]})"
        )
        yield Finding(verdict="note", text=text)


def _same_graph(
    checkpoint: CheckpointSummary, trained: Provenance, split: SplitInventory
) -> Finding:
    assert checkpoint.pair_settings is not None
    if trained.objective == "mlm":
        return Finding(verdict="good", text="train holds the cells that the model was trained on")
    if not split.serves(trained.neighbor_key):
        text = "train holds the cells that the model was trained on, without their graph"
        return Finding(verdict="note", text=text)
    dataset = TemporalGeneformerDataset.from_folder(
        split.folder, checkpoint.vocab, checkpoint.pair_settings.for_scoring()
    )
    if graph_fingerprint(dataset.graph) == trained.graph_fingerprint:
        text = "train holds the cells and the graph that the model was trained on"
        return Finding(verdict="good", text=text)
    text = (
        "train holds the cells that the model was trained on, with another graph under "
        f"{trained.neighbor_key!r}: {dataset.graph.num_edges:,} edges, in training "
        f"{trained.num_edges:,}"
    )
    return Finding(verdict="note", text=text)


def _shared(data: DataInventory) -> Iterator[Finding]:
    names = list(data.splits)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            cells = set(data.splits[first].store.cell_ids) & set(data.splits[second].store.cell_ids)
            if cells:
                text = (
                    f"{len(cells):,} cells of {second} have the name of a cell of {first} (such as "
                    f"{min(cells)}); if they are the same cells, scores are too good"
                )
                yield Finding(verdict="note", text=text)
