"""Cells of an AnnData object, in memory or backed by a file, as a CountSource."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.rounding import Rounding
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.counts.source import (
    CountSource,
    MatrixOptions,
    in_rows,
)
from bionemo.geneformer_t.counts.stored_matrix import RawBlock, row_blocks, stored_matrix

if TYPE_CHECKING:
    import anndata

IN_PYTHON = MatrixOptions(
    layer="counts_layer={!r}",
    raw="use_raw=True",
    neither="leave counts_layer and use_raw out",
    rounding="round_counts=True",
)
"""What functions on AnnData objects call their options."""
BY_LAYER = replace(IN_PYTHON, layer="layer={!r}", neither="leave layer and use_raw out")
"""The same where the option is called `layer`."""


def anndata_source(
    cells: "anndata.AnnData",
    layer: str | None = None,
    *,
    use_raw: bool = False,
    round_counts: bool = False,
    options: MatrixOptions = IN_PYTHON,
) -> CountSource:
    """The raw counts of an AnnData object; a backed one is read block by block.

    Args:
        cells: Counts in X, in the layer or in raw; genes named as in data.h5ad.
        layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw` instead.
        round_counts: Round expected counts.
        options: What the function that was called calls these options.

    Raises:
        TypeError: The cells are no AnnData object.
        KeyError: No such layer, or no raw.
        ValueError: There is no X, or both a layer and raw were asked for.
    """
    require_anndata(cells)
    where, matrix, var = chosen_matrix(cells, layer, use_raw=use_raw, options=options)
    genes = name_genes(var, where)
    return CountSource(
        where=where,
        cell_ids=tuple(cells.obs_names.astype(str)),
        genes=genes,
        var_names=tuple(var.index.astype(str)),
        raw_blocks=lambda: _blocks(matrix, where),
        by_rows=not isinstance(matrix, CSCDataset),
        num_values=matrix.group["data"].shape[0] if isinstance(matrix, CSCDataset) else 0,
        rounding=Rounding() if round_counts else None,
        way_out=lambda: (
            "Give the matrix of raw counts as X; if it is a layer or raw, "
            f"{options.layer.format('NAME')} or {options.raw} takes it from there"
        ),
        options=options,
    )


def require_anndata(cells: Any) -> None:
    """Refuse what is no AnnData object.

    Raises:
        TypeError: Says what it is, and how to read a file.
    """
    if not isinstance(cells, AnnData):
        what = type(cells).__name__
        path = f" {cells}; anndata.read_h5ad reads files" if isinstance(cells, str | Path) else ""
        raise TypeError(f"expected cells as an AnnData object; got {what}{path}")


def require_place_for_results(cells: Any) -> None:
    """Refuse cells that nothing can be written to, before anything is computed for them.

    anndata makes a view a copy at the first result, and cannot where it is of a file.

    Raises:
        TypeError: They are no AnnData object.
        ValueError: They are some of the cells or genes of a backed AnnData object.
    """
    require_anndata(cells)
    if cells.isbacked and cells.is_view:
        raise ValueError(
            "these are some of the cells or genes of an AnnData object that is backed by a file, "
            "and results cannot be written to them; give adata[...].to_memory(), or the whole "
            "object"
        )


def whole_counts(source: CountSource) -> sp.csr_array:
    """All raw counts of a source in memory, cells x genes; what is no gene counts 0.

    Raises:
        NotCountsError: Values are no raw counts.
    """
    with row_wise(source) as rows:
        parts = [block.counts.astype(np.float32) for block in rows.blocks()]
    return sp.csr_array(sp.vstack(parts) if parts else sp.csr_array(source.shape, dtype=np.float32))


def copied(cells: "anndata.AnnData") -> "anndata.AnnData":
    """A copy in memory, for functions with `copy=True`.

    Raises:
        TypeError: They are no AnnData object.
        ValueError: The cells are backed by a file.
    """
    require_anndata(cells)
    if cells.isbacked:
        raise ValueError(
            "copy=True needs a file for the copy of a backed AnnData; call adata.copy(filename) "
            "yourself, or leave copy out"
        )
    return cells.copy()


def whole_matrix(matrix: Any) -> Any:
    """A matrix of an AnnData object in memory, where it may be one of a file."""
    if not isinstance(matrix, CSRDataset | CSCDataset):
        return matrix
    parts = [block for block, _, _ in stored_matrix(matrix.group, Path("X"), "it").blocks()]
    stack = sp.vstack if isinstance(matrix, CSRDataset) else sp.hstack
    return stack(parts) if parts else sp.csr_array(matrix.shape, dtype=np.float32)


def chosen_matrix(
    cells: "anndata.AnnData",
    layer: str | None,
    *,
    use_raw: bool = False,
    options: MatrixOptions = IN_PYTHON,
) -> tuple[str, Any, Any]:
    """What to call the matrix that was asked for, the matrix, and the `var` of its columns.

    Raises:
        KeyError: No such layer, or no raw.
        ValueError: There is no X, or both a layer and raw were asked for.
    """
    named = options.layer.format(layer or "NAME")
    if layer is not None and use_raw:
        raise ValueError(f"give a layer or raw, not both; got {named} and {options.raw}")
    if use_raw:
        if cells.raw is None:
            raise KeyError("use_raw: the cells have no raw; leave it out, or name a layer")
        return "adata.raw.X", cells.raw.X, cells.raw.var
    if layer is None:
        if cells.X is None:
            raise ValueError(
                "the cells have no X; expected raw counts there; if they are a layer or raw, "
                f"{named} or {options.raw} takes them from there"
            )
        return "adata.X", cells.X, cells.var
    if layer not in cells.layers:
        raise KeyError(
            f"{named}: there is no layer {layer!r}; the layers are: {named_layers(cells)}"
        )
    return f"adata.layers[{layer!r}]", cells.layers[layer], cells.var


def named_layers(cells: AnnData) -> str:
    """The names of the layers for a message; `none` without any.

    anndata 0.13 lists X among them, under the key None.
    """
    return ", ".join(name for name in cells.layers if name is not None) or "none"


def _blocks(matrix: Any, where: str) -> Iterator[RawBlock]:
    if isinstance(matrix, CSRDataset | CSCDataset):
        yield from stored_matrix(matrix.group, Path(where), "it").blocks()
        return
    if isinstance(matrix, h5py.Dataset):
        yield from stored_matrix(matrix, Path(where), "it").blocks()
        return
    if sp.issparse(matrix):
        matrix = in_rows(matrix, where)  # slices of rows would each search all columns
    for rows in row_blocks(matrix.shape[0]):
        yield matrix[rows], rows.start, 0
