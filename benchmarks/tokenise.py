"""How fast are cells encoded, against looking every gene up by name?

Geneformer and BioNeMo walk through the genes of a cell and look each one up in dictionaries of
tokens and medians. Ours gathers both for whole batches of cells from arrays over columns. One core,
the same mapped counts.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from cells import make_split, make_vocab, typical_lengths
from measure import paired_seconds, ratio, report

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.vocab import GeneVocab

TARGET = 12
LENGTHS = {"realistic": 2_700, "typical": 700}
BATCH = 16


def by_dictionary(
    store: CellStore, vocab: GeneVocab, genes: tuple[str, ...], cell: int
) -> list[int]:
    """One cell, gene by gene, over Python's own numbers, which are faster than NumPy's here."""
    counts, columns = (array.tolist() for array in store.row(cell))
    total, ids, medians = sum(counts), vocab.ids, vocab.medians
    tokens, values = [], []
    for count, column in zip(counts, columns, strict=True):
        gene = genes[column]
        if gene in ids:
            tokens.append(ids[gene])
            values.append(count / total * 10_000 / medians[gene])
    order = np.argsort(-np.array(values), kind="stable")
    return np.array(tokens)[order].tolist()


def compare(kind: str, folder: Path, cells: int, rounds: int) -> dict[str, object]:
    """One row of the table."""
    median = LENGTHS[kind]
    split = make_split(folder / kind, typical_lengths(median, 0.3, cells))
    store, vocab = CellStore.open(split), make_vocab()
    tokens, genes = CellTokens(store, vocab, PairSettings()), store.gene_names

    def by_us() -> list[np.ndarray]:
        batches = np.split(np.arange(cells), range(BATCH, cells, BATCH))
        return [row for batch in batches for row in tokens.rows_of(batch)]

    def by_them() -> list[list[int]]:
        return [by_dictionary(store, vocab, genes, cell) for cell in range(cells)]

    agree = np.mean([
        np.mean(np.array(theirs) == ours) for theirs, ours in zip(by_them(), by_us(), strict=True)
    ])  # fmt: skip
    theirs, ours = paired_seconds([by_them, by_us], rounds)
    return {
        "cells": kind,
        "genes_per_cell": median,
        "dictionary_cells_per_s": cells / min(theirs),
        "cells_per_s": cells / min(ours),
        "speedup": ratio(theirs, ours),
        "target": TARGET,
        "same_ranks": float(agree),
    }


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(kind, Path(folder), options.cells, options.rounds) for kind in LENGTHS]
    print("one core; ranks that differ are genes of equal value, whose order rounding decides")
    report("tokenise", rows)


if __name__ == "__main__":
    main()
