"""Ranks of genes in cells, as a model reads them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_table


def ranks_in_cells(
    model: NextCellModel, source: CountSource, genes: Sequence[str]
) -> Float[ndarray, "cell gene"]:
    """Normalised ranks: 1 for the first gene of a cell, falling evenly to 0 after the last read.

    0 where the model does not read the gene.

    Args:
        model: Has the medians that ranks are by.
        source: Raw counts, in whole rows or not.
        genes: Tokens of the model's vocabulary.

    Raises:
        ValueError: The values are no raw counts.
    """
    vocab = model.required_vocab()
    tokens = vocab.encode(list(genes))
    parts = [
        rank_table(cells, genes_per_cell(model), len(vocab))[:, tokens].toarray()
        for cells in CellReader(model, source, 0.0).blocks()
    ]
    return np.concatenate(parts).astype(np.float64)
