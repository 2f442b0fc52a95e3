"""Genes that can be searched: those that the page names, then those that are predicted to change.

A value for each cell and gene would make the page too large: where cells are few, genes may be
many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.report.explore.pack import compressed, in_percent

_CELLS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class ShownGenes:
    """Genes, and what the page holds of them."""

    tokens: Int[ndarray, " gene"]
    num_named: int
    """How many of them the page names; they are the first."""
    num_all: int
    """Genes of the vocabulary."""
    ranks: bytes
    """Compressed by gzip: of each gene its normalised ranks in the cells, and then as predicted for
    the next cell of those that are current cells; a byte each, in per cent."""


def shown_genes(
    now: sp.csr_array,
    expected: Float[ndarray, "current_cell vocab"],
    current: Int[ndarray, " current_cell"],
    gene_ids: Int[ndarray, " gene"],
    named: Sequence[int],
    most_bytes: int,
) -> ShownGenes:
    """Choose genes and take their ranks.

    Args:
        now: Normalised ranks, cells x vocabulary.
        expected: Expected normalised ranks in the next cells of `current`.
        current: Rows of `now` that something is predicted for.
        gene_ids: Tokens that are genes.
        named: Tokens of the genes that the page names, the most important first.
        most_bytes: What their ranks may take.
    """
    size = np.zeros(now.shape[1])
    for start in range(0, len(current), _CELLS_AT_ONCE):
        part = slice(start, start + _CELLS_AT_ONCE)
        size += np.abs(expected[part].astype(np.float32) - now[current[part]].toarray()).sum(axis=0)
    known = set(gene_ids.tolist())
    first = [token for token in dict.fromkeys(map(int, named)) if token in known]
    others = gene_ids[np.argsort(-size[gene_ids], kind="stable")]
    tokens = np.array(list(dict.fromkeys([*first, *others.tolist()])), dtype=np.int64)
    columns = now.tocsc()
    rows = (
        in_percent(np.r_[columns[:, [token]].toarray()[:, 0], expected[:, token]]).tobytes()
        for token in tokens
    )
    number, ranks = compressed(rows, most_bytes)
    return ShownGenes(
        tokens=tokens[:number],
        num_named=min(len(first), number),
        num_all=len(gene_ids),
        ranks=ranks,
    )
