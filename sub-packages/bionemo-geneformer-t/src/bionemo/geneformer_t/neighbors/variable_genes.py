"""Which genes vary more than others of their level, from sums that blocks of cells add up to.

Scanpy's `seurat` flavor (Satija et al., 2015, Nature Biotechnology): the log of variance / mean,
standardised among the genes of a similar mean. It needs two sums for each gene, so the counts
are never held together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

_NUM_BINS = 20


@dataclass(frozen=True, kw_only=True)
class GeneMoments:
    """Sums over cells of scaled, not logged counts."""

    num_cells: int
    detected_in: Int[ndarray, " gene"]
    """Cells that express each gene."""
    total: Float[ndarray, " gene"]
    total_of_squares: Float[ndarray, " gene"]
    total_of_logs: Float[ndarray, " gene"]
    """Sum of log(1 + scaled count)."""


def gene_moments(scaled: Iterable[sp.csr_array], num_genes: int) -> GeneMoments:
    """Add up blocks of scaled counts, cells x genes."""
    detected = np.zeros(num_genes, dtype=np.int64)
    sums = np.zeros((3, num_genes))
    num_cells = 0
    for block in scaled:
        values = block.data.astype(np.float64)
        detected += np.bincount(block.indices, minlength=num_genes)
        for row, powers in enumerate((values, values * values, np.log1p(values))):
            sums[row] += np.bincount(block.indices, powers, minlength=num_genes)
        num_cells += block.shape[0]
    return GeneMoments(
        num_cells=num_cells,
        detected_in=detected,
        total=sums[0],
        total_of_squares=sums[1],
        total_of_logs=sums[2],
    )


def variable_genes(moments: GeneMoments, num_wanted: int) -> Bool[ndarray, " gene"]:
    """The expressed genes of the highest dispersion; of equals, the first; all if they are few."""
    expressed = moments.detected_in > 0
    if expressed.sum() <= num_wanted or moments.num_cells < 2:
        return expressed
    dispersions = normalised_dispersions(moments)
    ranked = np.argsort(-np.where(expressed, dispersions, -np.inf), kind="stable")
    chosen = np.zeros(len(expressed), dtype=bool)
    chosen[ranked[:num_wanted]] = True
    return chosen & expressed


def normalised_dispersions(moments: GeneMoments) -> Float[ndarray, " gene"]:
    """The log of variance / mean, in standard deviations of the genes in the same of 20 bins."""
    mean = moments.total / moments.num_cells
    variance = (moments.total_of_squares - moments.num_cells * mean**2) / (moments.num_cells - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(np.where(variance > 0, variance, np.nan) / mean)
    by_bin = pd.Series(dispersion).groupby(
        pd.cut(pd.Series(np.log1p(mean)), _NUM_BINS, labels=False)
    )
    centre, spread = by_bin.transform("mean"), by_bin.transform("std")
    # a gene alone in its bin has no spread; scanpy then says 1
    alone = spread.isna()
    normalised = (dispersion - centre.mask(alone, 0)) / spread.mask(alone, centre)
    return normalised.fillna(-np.inf).to_numpy(dtype=np.float64)
