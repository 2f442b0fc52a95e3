"""Which cells of a split are in which clone: a column of obs with barcodes, or a table of obsm."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.some_names import some_names

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.cell_store import CellStore

_NO_BARCODE = {"", "nan", "na", "none"}


def read_membership(store: "CellStore", key: str) -> sp.csr_matrix:
    """Cells x clones of a split, above zero where a cell is in a clone.

    Args:
        store: The split.
        key: Column of obs with the barcode of each cell, missing where it has none; or a table of
            obsm, cells x clones, dense or sparse.

    Raises:
        KeyError: There is neither; lists those that exist.
        ValueError: No cell has a barcode, or no clone has two cells.
    """
    from anndata.io import read_elem

    from bionemo.geneformer_t.counts.data_frames import read_frame
    from bionemo.geneformer_t.counts.hdf5 import open_hdf5
    from bionemo.geneformer_t.data.cell_store import H5AD

    path = store.split_dir / H5AD
    if not path.is_file():
        raise ValueError(
            f"clone_key={key!r}: {store.split_dir} has no {H5AD} with columns of obs; evaluate a "
            "folder that prepare made"
        )
    with open_hdf5(path) as file:
        obs, obsm = read_frame(file, "obs", str(path)), file.get("obsm", {})
        if key not in obs and key not in obsm:
            raise KeyError(
                f"clone_key: {path} has no column of obs and no table of obsm called {key!r}; obs "
                f"has: {', '.join(map(str, obs.columns)) or 'none'}; obsm has: "
                f"{', '.join(obsm) or 'none'}"
            )
        where = f"obs[{key!r}]" if key in obs else f"obsm[{key!r}]"
        found = of_barcodes(obs[key]) if key in obs else of_table(read_elem(obsm[key]))
    sizes = np.asarray((found > 0).sum(axis=0)).ravel()
    if not sizes.any():
        raise ValueError(f"clone_key: {where} of {path} puts no cell in a clone")
    if sizes.max() < 2:
        raise ValueError(
            f"clone_key: each of the {int((sizes > 0).sum()):,} clones of {where} has one cell in "
            f"{path}, so that no cell has a sibling; are these names of cells? Clones are: "
            f"{_examples(obs, key, found)}"
        )
    return found


def of_barcodes(barcodes: "pd.Series[Any]") -> sp.csr_matrix:
    """Cells x clones from the barcode of each cell; missing and empty ones are none."""
    texts = barcodes.astype(object).map(str, na_action="ignore")
    texts = texts.where(~texts.str.lower().isin(_NO_BARCODE))
    codes, names = pd.factorize(texts, sort=True)
    cells = np.flatnonzero(codes >= 0)
    shape = (len(texts), len(names))
    return sp.csr_matrix((np.ones(len(cells), dtype=np.int8), (cells, codes[cells])), shape=shape)


def of_table(table: Any) -> sp.csr_matrix:
    """Cells x clones from such a table, in which all that is above zero is a membership."""
    values = table.to_numpy() if isinstance(table, pd.DataFrame) else table
    return sp.csr_matrix((sp.csr_matrix(values) > 0).astype(np.int8))


def _examples(obs: "pd.DataFrame", key: str, found: sp.csr_matrix) -> str:
    if key not in obs:
        return f"{found.shape[1]:,} columns"
    return some_names(map(str, obs[key].dropna().unique()))
