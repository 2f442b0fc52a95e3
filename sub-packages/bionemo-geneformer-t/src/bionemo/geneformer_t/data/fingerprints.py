"""Fingerprints of training cells and their graph: the same wherever and however they are stored.

The cells' fingerprint covers the names of all cells and genes, the total count and the number of
expressed genes of every cell, and the whole counts of 64 cells spread over the split. That tells
data sets, splits and corrections apart, and reads megabytes where the counts are gigabytes.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int, Num
from numpy import ndarray

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.token_encoder import tokens_of_columns
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab

_SMALLEST_POWER, _LIFT = -300, 1e30
"""Numbers below 1e-295 are multiplied before their digits are read."""
_SAMPLED_CELLS = 64


def provenance_of(dataset: TemporalGeneformerDataset) -> Provenance:
    """What a checkpoint records of the split that it was trained on."""
    store = dataset.tokens.store
    return Provenance(
        data_name=store.split_dir.resolve().parent.name,
        data_fingerprint=cells_fingerprint(store),
        graph_fingerprint=graph_fingerprint(dataset.graph),
        neighbor_key=dataset.settings.neighbor_key,
        num_cells=len(store),
        num_examples=len(dataset),
        num_edges=dataset.graph.num_edges,
        seed=dataset.settings.seed,
        objective=dataset.settings.objective,
        shuffled=dataset.settings.shuffle_successors,
    )


def cells_fingerprint(store: CellStore, gene_names: Sequence[str] | None = None) -> str:
    """SHA-256 over what the module's docstring lists.

    Args:
        store: The cells.
        gene_names: What to call the genes instead.
    """
    sampled = np.unique(np.linspace(0, len(store) - 1, _SAMPLED_CELLS).astype(np.int64))
    rows = [part for cell in sampled for part in store.row(int(cell))]
    names = "\n".join([*store.cell_ids, "", *(gene_names or store.gene_names)])
    return _sha256([store.total_counts, store.num_values, sampled, *rows], names)


def are_same_cells(fingerprint: str, store: CellStore, vocab: GeneVocab) -> bool:
    """Whether a fingerprint is that of some cells, also where it was taken under other names.

    Genes were once called by the index of `var` unless a column `feature_id` or `ensembl_id` gave
    their ids; other columns of ids are found now. Cells whose genes have the same tokens under both
    names are the same.
    """
    if fingerprint == cells_fingerprint(store):
        return True
    tokens = tokens_of_columns(store.genes, vocab)
    return bool(
        np.array_equal(vocab.encode(store.genes.symbols), tokens)
        and fingerprint == cells_fingerprint(store, store.genes.symbols)
    )


def graph_fingerprint(graph: NeighborGraph) -> str:
    """SHA-256 over all edges and their weights, to the six digits that neighbors.json keeps."""
    return _sha256([graph.indptr, graph.indices, *six_digits(graph.weights)], "")


def six_digits(
    weights: Float[ndarray, " edge"],
) -> tuple[Int[ndarray, " edge"], Int[ndarray, " edge"]]:
    """Positive numbers as integers from 100,000 to 999,999 and powers of ten."""
    exponents = np.floor(np.log10(weights)).astype(np.int64) - 5
    is_tiny = exponents < _SMALLEST_POWER  # powers of ten below are zero, or have few digits
    weights = weights * np.where(is_tiny, _LIFT, 1.0)
    powers = exponents + np.where(is_tiny, round(np.log10(_LIFT)), 0)
    digits = np.rint(weights / 10.0**powers).astype(np.int64)
    carried = digits == 1_000_000
    return np.where(carried, 100_000, digits), exponents + carried


def _sha256(arrays: Iterable[Num[ndarray, " _"]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return digest.hexdigest()
