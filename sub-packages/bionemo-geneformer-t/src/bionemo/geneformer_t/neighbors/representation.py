"""Cells as points: normalised, log-transformed, PCA, with nothing learned from held-out cells.

The variable genes, the centre and the axes come from the training cells alone; all other cells
are only projected. Otherwise neighbors inside a test split would depend on training on test cells.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

_TARGET_SUM = 1e4
_NUM_VARIABLE_GENES = 2000


def expression_pca(
    counts: sp.csr_matrix,
    fit_on: Bool[ndarray, " cell"],
    num_components: int = 30,
    num_variable_genes: int = _NUM_VARIABLE_GENES,
) -> Float[ndarray, "cell component"]:
    """Principal components of log(1 + count / total * 10,000) over the most variable genes.

    Args:
        counts: Raw counts, cells x genes.
        fit_on: The training cells, from which genes, centre and axes are learned.
        num_components: Components; fewer where cells or genes are fewer.
        num_variable_genes: Genes that enter, by scanpy's `seurat` dispersion.

    Raises:
        ValueError: Fewer than three training cells or two expressed genes.
    """
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(sp.csr_matrix(counts, dtype=np.float32, copy=True))
    sc.pp.normalize_total(cells, target_sum=_TARGET_SUM)
    sc.pp.log1p(cells)
    train = cells[fit_on].copy()
    variable = _variable_genes(train, num_variable_genes)
    num = min(num_components, train.n_obs - 1, int(variable.sum()) - 1)
    if num < 1:
        raise ValueError(
            "PCA needs at least three training cells and two expressed genes; got "
            f"{train.n_obs} cells and {int(variable.sum())} genes"
        )
    train = train[:, variable].copy()
    sc.pp.pca(train, n_comps=num, svd_solver="arpack", random_state=0)
    centre = np.asarray(train.X.mean(axis=0)).ravel()
    axes = train.varm["PCs"]
    projected = cells.X[:, variable] @ axes - centre @ axes
    return np.asarray(projected, dtype=np.float32)


def _variable_genes(train: object, num_variable_genes: int) -> Bool[ndarray, " gene"]:
    import scanpy as sc

    expressed = np.asarray((train.X > 0).sum(axis=0)).ravel() > 0  # type: ignore[attr-defined]
    if expressed.sum() <= num_variable_genes:
        return expressed
    found = sc.pp.highly_variable_genes(train, n_top_genes=num_variable_genes, inplace=False)
    dispersions = found["dispersions_norm"].to_numpy(dtype=np.float64)
    # scanpy keeps all genes that tie at the limit; here the first of them win
    ranked = np.argsort(-np.where(expressed, dispersions, -np.inf), kind="stable")
    chosen = np.zeros(len(expressed), dtype=bool)
    chosen[ranked[:num_variable_genes]] = True
    return chosen & expressed
