"""Predicted next cells as expected counts, for tools that compare expression and not ranks.

A model gives the probability of each gene at each rank. The mean normalised expression at each rank
(count over total count over the gene's median) comes from training cells; the expectation over
ranks, scaled to the current cell's total, is the expected count of each gene. Depth is not
predicted.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of

_NUMBERS_AT_ONCE = 2**25


@dataclass(frozen=True, kw_only=True)
class RankWorth:
    """Mean of `count / total count / median of the gene` at each rank."""

    values: Float[ndarray, " rank"]

    @classmethod
    def of(cls, counts: sp.csr_array, encoder: TokenEncoder, num_ranks: int) -> "RankWorth":
        """Average over cells, each as far as it has genes; 0 at ranks that no cell reaches."""
        sums, reached = np.zeros((2, num_ranks))
        for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
            tokens = encoder.token_of_column[counts.indices[start:stop]]
            known = tokens >= 0
            total = counts.data[start:stop].sum()
            worth = counts.data[start:stop][known] / encoder.median_of_id[tokens[known]]
            worth = -np.sort(-worth)[:num_ranks] / max(total, 1)
            sums[: len(worth)] += worth
            reached[: len(worth)] += 1
        return cls(values=sums / np.maximum(reached, 1))


def expected_counts(
    model: NextCellModel,
    encoder: TokenEncoder,
    worth: RankWorth,
    counts: sp.csr_array,
) -> Float[ndarray, "cell column"]:
    """The expected counts of the next cell of each current cell.

    Args:
        model: Trained on next cells.
        encoder: Finds the columns of `counts` in the model's vocabulary.
        worth: What ranks are worth in the training cells.
        counts: Raw counts of current cells.

    Returns:
        Rows with the totals of the current cells, 0 for genes that the vocabulary does not know
        and for cells that express none that it knows.
    """
    predict, most = model_predictor(model), settings_of(model).genes_per_cell
    lengths = np.diff(counts.indptr).astype(np.int64)
    contexts = [
        genes[:most] for genes in encoder.encode(counts.data, counts.indices, lengths).rows()
    ]
    totals = np.asarray(counts.sum(axis=1)).ravel()
    medians, known = encoder.median_of_id, encoder.is_known
    found = np.zeros(counts.shape, dtype=np.float32)
    filled = np.flatnonzero([len(genes) > 0 for genes in contexts])
    size = max(1, _NUMBERS_AT_ONCE // (most * len(medians)))
    for batch in (filled[i : i + size] for i in range(0, len(filled), size)):
        longest = max(len(contexts[cell]) for cell in batch)
        for cell, log_probs in zip(
            batch, predict([contexts[cell] for cell in batch], longest), strict=True
        ):
            number = len(contexts[cell])
            expected = medians * (worth.values[:number] @ np.exp(log_probs[:number]))
            expected *= totals[cell] / expected.sum()
            found[cell, known] = _shared(expected, encoder.token_of_column[known])
    return found


def as_cells(
    expected: Float[ndarray, "cell column"], num_genes: Int[ndarray, " cell"]
) -> sp.csr_array:
    """Expected counts as cells that a model reads: whole numbers of the highest genes alone.

    An expectation gives every gene a little; of each cell only so many genes are kept as it should
    express. Numbers are scaled up before they are rounded, which changes no order.
    """
    rows = []
    for values, number in zip(expected, num_genes, strict=True):
        kept = np.argsort(-values, kind="stable")[: int(number)]
        row = np.zeros(len(values), dtype=np.float32)
        row[kept] = np.rint(values[kept] * (_SCALE / max(float(values.max()), 1e-30)))
        rows.append(row)
    return sp.csr_array(np.array(rows).reshape(expected.shape))


_SCALE = 2.0**20
"""The highest count of a cell made from expectations."""


def _shared(
    expected: Float[ndarray, " vocab"], tokens: Int[ndarray, " column"]
) -> Float[ndarray, " column"]:
    """The values of columns; the value of a gene is divided evenly among its columns."""
    return expected[tokens] / np.bincount(tokens, minlength=len(expected))[tokens]
