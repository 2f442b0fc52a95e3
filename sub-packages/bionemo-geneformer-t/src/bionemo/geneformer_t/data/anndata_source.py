"""Cells of an AnnData object, in memory or backed by a file, as a CountSource; and rows of any.

Whatever the layout, `row_wise` hands out whole cells: a matrix that is stored by columns is written
anew, by rows, into a temporary SCDL archive first.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scipy.sparse as sp

from bionemo.geneformer_t.data.count_source import GENE_ID_COLUMNS, CountSource, row_blocks
from bionemo.geneformer_t.data.scdl import archive_source, survey, write_archive

if TYPE_CHECKING:
    import anndata

_ARCHIVE = "archive"


def anndata_source(cells: "anndata.AnnData", layer: str | None = None) -> CountSource:
    """The raw counts of an AnnData object; a backed one is read block by block.

    Args:
        cells: Counts in X or in the layer, genes named as in data.h5ad.
        layer: The layer that holds the raw counts; X by default.

    Raises:
        KeyError: No such layer.
        ValueError: There is no X.
    """
    if layer is not None and layer not in cells.layers:
        raise KeyError(
            f"counts_layer: there is no layer {layer!r}; the layers are: "
            f"{', '.join(cells.layers) or 'none'}"
        )
    if layer is None and cells.X is None:
        raise ValueError(
            "the cells have no X; expected raw counts there, or name their layer as counts_layer"
        )
    named = next((column for column in GENE_ID_COLUMNS if column in cells.var), None)
    symbols = tuple(cells.var_names.astype(str))
    return CountSource(
        where="adata.X" if layer is None else f"adata.layers[{layer!r}]",
        cell_ids=tuple(cells.obs_names.astype(str)),
        gene_names=symbols if named is None else tuple(cells.var[named].astype(str)),
        gene_symbols=symbols,
        raw_blocks=lambda: _rows(cells, layer),
    )


@contextmanager
def row_wise(source: CountSource) -> Iterator[CountSource]:
    """The same matrix with whole cells in every block."""
    first = next(source.raw_blocks(), None)
    if first is None or first[0].shape[1] == source.shape[1]:
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / _ARCHIVE
        write_archive(source, survey(source), archive)
        yield archive_source(archive)


def _rows(cells: "anndata.AnnData", layer: str | None) -> Iterator[tuple[Any, int, int]]:
    matrix = cells.X if layer is None else cells.layers[layer]
    if sp.issparse(matrix) and matrix.format == "csc":
        matrix = matrix.tocsr()  # slices of rows would each search all columns
    for rows in row_blocks(cells.n_obs):
        yield matrix[rows], rows.start, 0
