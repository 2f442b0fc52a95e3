"""CellRank's PseudotimeKernel on a file of cells, in an environment of its own.

    python benchmarks/cellrank_kernel.py cells.h5ad transitions.npz

`fate_accuracy.py` calls it.
The cells carry raw counts and `obs["pseudotime"]`. Everything else is scanpy's and CellRank's usual
way: log-normalised counts, 30 principal components, 30 neighbors, the soft threshold scheme.
"""

import sys

import cellrank
import scanpy as sc
import scipy.sparse as sp


def main(cells: str, transitions: str) -> None:
    """Compute the transition matrix and write it."""
    adata = sc.read_h5ad(cells)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=30)
    sc.pp.neighbors(adata, n_neighbors=30)
    kernel = cellrank.kernels.PseudotimeKernel(adata, time_key="pseudotime")
    kernel.compute_transition_matrix(threshold_scheme="soft", show_progress_bar=False)
    sp.save_npz(transitions, sp.csr_matrix(kernel.transition_matrix))


if __name__ == "__main__":
    main(*sys.argv[1:])
