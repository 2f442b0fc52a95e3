"""Predicted next cells as an .h5ad: cells x genes of expected ranks, written block by block.

Memory does not grow with the number of cells: the mean prediction is known only at the end, so the
layer that is relative to it is made in a second pass over the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.update_h5ad import WholeFile, whole_hdf5
from bionemo.geneformer_t.inference.cell_marks import CellMarks
from bionemo.geneformer_t.inference.expected_ranks import AGAINST_AVERAGE, CHANGE, UNIT
from bionemo.geneformer_t.inference.gene_symbols import readable_names
from bionemo.geneformer_t.inference.next_cell import NextCells

KEY = "next_cell"
"""What the entries of the file begin with, and where their units and parameters are in `uns`."""
CHANGE_LAYER, AVERAGE_LAYER = f"{KEY}_change", f"{KEY}_against_average"
MOST_GENES = 50
"""Genes in the table of those that change most."""
_ROWS = 256
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}
_DICT = {"encoding-type": "dict", "encoding-version": "0.1.0"}
_ROOT = {"encoding-type": "anndata", "encoding-version": "0.1.0"}


def write_predictions(
    blocks: Iterable[NextCells],
    names: Sequence[str],
    symbols: Sequence[str],
    path: Path,
    params: Mapping[str, Any],
    marks: CellMarks,
) -> None:
    """Write genes and probabilities of ranks, and expected ranks of all genes where there are any.

    Args:
        blocks: Predictions, at least one block.
        names: Of all current cells.
        symbols: Of each token; empty where it is not known.
        path: The .h5ad.
        params: What was predicted with what; stored in `uns`.
        marks: What is known of the cells; a column of `obs` for each mark.

    Raises:
        OSError: The disk is full.
    """
    cells, genes, probabilities = [], [], []
    sums = _GeneSums()
    with whole_hdf5(path) as file:
        file.attrs.update(_ROOT)
        layers = file.create_group("layers")
        layers.attrs.update(_DICT)
        for block in blocks:
            cells.append(block.cells)
            genes.append(block.token_ids)
            probabilities.append(block.probabilities)
            if block.ranks is not None:
                _append(file, "X", block.ranks.following)
                _append(layers, CHANGE_LAYER, block.ranks.change)
                sums.add(block.ranks.following, block.ranks.change)
            file.check()
        vocab = block.vocab
        index = pd.Index([names[cell] for cell in np.concatenate(cells)], dtype=str)
        tokens = np.array(vocab.tokens, dtype=object)
        columns = np.concatenate(genes)
        ranks = [f"rank_{rank}" for rank in range(1, columns.shape[1] + 1)]
        held = {
            "genes": tokens[columns],
            "symbols": readable_names(vocab, symbols)[columns],
            "probabilities": np.concatenate(probabilities),
        }
        uns: dict[str, Any] = {"params": dict(params), "units": {}}
        var = pd.DataFrame(index=pd.Index([], dtype=str))
        if "X" in file:
            _write_against_average(file, layers, sums.mean)
            found = symbols_of_genes(symbols, vocab.gene_ids)
            var = pd.DataFrame({"symbol": found}, index=pd.Index(vocab.genes, dtype=str))
            uns["units"] = units(int(params["num_ranks"]))
            uns["top_genes"] = sums.top_genes(var)
        obs = pd.DataFrame(marks.of(np.concatenate(cells)), index=index)
        write_elem(file, "obs", obs)
        write_elem(file, "var", var)
        obsm = {
            f"{KEY}_{name}": pd.DataFrame(values, index=index, columns=ranks)
            for name, values in held.items()
        }
        write_elem(file, "obsm", obsm)
        write_elem(file, "uns", {KEY: uns})
        for empty in ("obsp", "varm", "varp"):
            write_elem(file, empty, {})


def units(num_ranks: int) -> dict[str, str]:
    """What the matrices hold, by name."""
    return {
        "X": UNIT.format(num_ranks=num_ranks),
        CHANGE_LAYER: CHANGE,
        AVERAGE_LAYER: AGAINST_AVERAGE,
        "probabilities": "the model's probability of the gene at its rank",
    }


def symbols_of_genes(symbols: Sequence[str], gene_ids: ndarray) -> list[str]:
    """The symbols of some tokens."""
    return [symbols[gene] for gene in gene_ids.tolist()]


class _GeneSums:
    """Means over cells of expected ranks and of changes."""

    def __init__(self) -> None:
        self.number = 0
        self._sums: Float[ndarray, "kind gene"] | None = None

    def add(
        self, following: Float[ndarray, "cell gene"], change: Float[ndarray, "cell gene"]
    ) -> None:
        """Count more cells."""
        found = np.array(
            [following.sum(axis=0, dtype=np.float64), change.sum(axis=0, dtype=np.float64)]
        )
        self._sums = found if self._sums is None else self._sums + found
        self.number += len(following)

    @property
    def mean(self) -> Float[ndarray, " gene"]:
        """The mean prediction; 0 over no cells."""
        return self._means[0]

    def top_genes(self, var: pd.DataFrame) -> pd.DataFrame:
        """The genes that change most on average, with their means."""
        return top_genes(var, *self._means)

    @property
    def _means(self) -> Float[ndarray, "kind gene"]:
        assert self._sums is not None
        return self._sums / max(self.number, 1)


def top_genes(
    var: pd.DataFrame, mean: Float[ndarray, " gene"], change: Float[ndarray, " gene"]
) -> pd.DataFrame:
    """The genes whose mean change against the current cells is largest, up or down.

    Args:
        var: Genes as index, and their `symbol`.
        mean: Mean expected normalised rank of each.
        change: Its mean change.
    """
    largest = np.argsort(-np.abs(change), kind="stable")[:MOST_GENES]
    return pd.DataFrame(
        {
            "symbol": var["symbol"].to_numpy()[largest],
            "mean_expected_rank": mean[largest],
            "mean_change": change[largest],
        },
        index=var.index[largest],
    )


def _append(group: "h5py.Group", name: str, values: Float[ndarray, "cell gene"]) -> None:
    if name not in group:
        shape = (0, values.shape[1])
        chunks = (_ROWS if values.shape[1] < 4096 else 16, max(values.shape[1], 1))
        dataset = group.create_dataset(
            name, shape=shape, maxshape=(None, shape[1]), chunks=chunks, dtype=np.float32,
            compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        dataset.attrs.update(_ARRAY)
    dataset = group[name]
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _write_against_average(
    file: WholeFile, layers: "h5py.Group", mean: Float[ndarray, " gene"]
) -> None:
    _append(layers, AVERAGE_LAYER, np.zeros((0, len(mean)), dtype=np.float32))
    for start in range(0, file["X"].shape[0], _ROWS):
        _append(layers, AVERAGE_LAYER, file["X"][start : start + _ROWS] - mean.astype(np.float32))
        file.check()
