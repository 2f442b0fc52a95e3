"""Reads the cells of an .h5ad with raw counts in X, from where the user says they are."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.data.count_source import check_cell_ids, open_h5ad
from bionemo.geneformer_t.data.counts import check_counts

if TYPE_CHECKING:
    import anndata


def read_counts(
    path: Path, *, layer: str | None = None, use_raw: bool = False
) -> "anndata.AnnData":
    """The cells of a file, with counts in X as CSR float32; `obs`, `var`, `obsm`, `obsp` are kept.

    Args:
        path: An .h5ad file.
        layer: The layer that holds the counts; X by default.
        use_raw: Take counts and genes from `raw` instead.

    Raises:
        FileNotFoundError: No such file.
        KeyError: No such layer, or no `raw`.
        ValueError: The file is damaged, cell ids stand twice, or the values are no counts; names
            the matrices of the file that are.
    """
    import anndata

    if layer is not None and use_raw:
        raise ValueError(f"give layer or use_raw, not both; got layer={layer!r} and use_raw")
    if not path.is_file():
        raise FileNotFoundError(f"input: expected an .h5ad file at {path}; there is none")
    with open_h5ad(path):
        pass  # tells a truncated file from a good one before anndata reads it
    with warnings.catch_warnings():
        # double cell ids are refused below, double gene names are summed later
        warnings.filterwarnings("ignore", ".*names are not unique", UserWarning)
        whole = anndata.read_h5ad(path)
    check_cell_ids(tuple(whole.obs_names), str(path))
    where = _name(layer, use_raw=use_raw)
    matrix, var = _choose(whole, path, layer, use_raw=use_raw)
    try:
        check_counts(_values(matrix), f"{path}: {where}")
    except ValueError as error:
        raise ValueError(f"{error}. {_way_out(whole, where)}") from error
    cells = anndata.AnnData(
        sp.csr_matrix(matrix, dtype=np.float32), obs=whole.obs.copy(), var=var.copy()
    )
    cells.X.sum_duplicates()
    cells.X.eliminate_zeros()
    for key, value in whole.obsm.items():
        cells.obsm[key] = value
    for key, value in whole.obsp.items():
        cells.obsp[key] = value
    return cells


def _choose(
    whole: "anndata.AnnData", path: Path, layer: str | None, *, use_raw: bool
) -> tuple[Any, Any]:
    if use_raw:
        if whole.raw is None:
            raise KeyError(f"{path} holds no raw; leave use_raw out to take X, or name a layer")
        return whole.raw.X, whole.raw.var
    if layer is None:
        if whole.X is None:
            raise ValueError(f"{path} holds no X. {_way_out(whole, 'X')}")
        return whole.X, whole.var
    if layer not in whole.layers:
        raise KeyError(
            f"{path} holds no layer {layer!r}; it holds: {', '.join(whole.layers) or 'none'}"
        )
    return whole.layers[layer], whole.var


def _way_out(whole: "anndata.AnnData", tried: str) -> str:
    """Which other matrices of the file are raw counts, and how to take them."""
    others = {"": whole.X, **{f"--layer {name}": m for name, m in whole.layers.items()}}
    if whole.raw is not None:
        others["--use_raw"] = whole.raw.X
    good = [
        option or "X (leave --layer and --use_raw out)"
        for option, matrix in others.items()
        if matrix is not None and _name_of_option(option) != tried and _is_counts(matrix)
    ]
    if good:
        return f"This file holds raw counts elsewhere; take them with: {' or '.join(good)}"
    return (
        "No other matrix of this file (X, layers, raw) holds raw counts: get the unnormalised "
        "matrix from where the data were published, or from the step before normalisation"
    )


def _is_counts(matrix: Any) -> bool:
    try:
        check_counts(_values(matrix), "")
    except ValueError:
        return False
    return True


def _values(matrix: Any) -> Any:
    return matrix.data if sp.issparse(matrix) else np.asarray(matrix)


def _name(layer: str | None, *, use_raw: bool) -> str:
    return "raw" if use_raw else "X" if layer is None else f"layer {layer!r}"


def _name_of_option(option: str) -> str:
    if option.startswith("--layer "):
        return _name(option.removeprefix("--layer "), use_raw=False)
    return _name(None, use_raw=bool(option))
