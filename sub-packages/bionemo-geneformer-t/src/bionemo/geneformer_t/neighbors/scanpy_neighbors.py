"""scanpy's neighbor graph from the nearest neighbors that the builders find.

scanpy searches with pynndescent from 8,192 cells on, which fails for some pairs of their versions
(scanpy 1.11 asks for `getnnz`, which the sparse arrays of pynndescent 0.7 lack) and depends on the
number of threads. `nearest` does neither, so scanpy is given what that finds.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.neighbors.nearest import nearest_others

if TYPE_CHECKING:
    import anndata


def scanpy_neighbors(
    cells: "anndata.AnnData", use_rep: str, num_neighbors: int, seed: int = 0
) -> None:
    """What `scanpy.pp.neighbors` writes, into `obsp` and `uns["neighbors"]`.

    Args:
        cells: At least two.
        use_rep: The array of obsm with their coordinates.
        num_neighbors: Neighbors of each cell, itself among them, as scanpy counts.
        seed: The `random_state` that scanpy records.
    """
    import scanpy as sc

    search = _Search(min(num_neighbors, cells.n_obs))
    sc.pp.neighbors(cells, use_rep=use_rep, transformer=search, random_state=seed)


class _Search:
    """What scanpy asks of a `transformer`."""

    def __init__(self, n_neighbors: int) -> None:
        self.n_neighbors = n_neighbors

    def get_params(self) -> dict[str, Any]:
        return {"n_neighbors": self.n_neighbors}

    def fit_transform(self, points: Any) -> sp.csr_matrix:
        """Distances, cells x cells, to the others; scanpy puts the cell itself before them."""
        found, distances = nearest_others(np.asarray(points), self.n_neighbors - 1)
        indptr = np.arange(0, found.size + 1, found.shape[1])
        shape = (len(found), len(found))
        return sp.csr_matrix((distances.ravel(), found.ravel(), indptr), shape=shape)
