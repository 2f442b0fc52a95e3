"""Builders of successors as AnnData functions, in scverse manner.

```python
import bionemo.geneformer_t as gft

gft.pp.next_cells(adata, method="time", time_key="day")
```
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.checks import NotCountsError
from bionemo.geneformer_t.counts.data_frames import native, native_matrix
from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    chosen_matrix,
    copied,
    named_layers,
    require_place_for_results,
    whole_counts,
    whole_matrix,
)
from bionemo.geneformer_t.counts.source import in_rows
from bionemo.geneformer_t.counts.velocity_transitions import (
    NEGATIVE,
    velocity_graph_names,
    velocity_transitions,
)
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.builders import build, check_method
from bionemo.geneformer_t.neighbors.expression_pca import expression_pca, log_normalised
from bionemo.geneformer_t.obs_columns import obsm_array
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)

__all__ = ["next_cells"]

_REPRESENTATION = "X_pca"


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__


def next_cells(
    adata: "anndata.AnnData",
    method: str = "time",
    *,
    key_added: str = "next_cell_ids",
    use_rep: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    copy: bool = False,
    **settings: Any,
) -> "anndata.AnnData | None":
    """Find the successors of each cell and store them as a graph.

    Writes `obsp[key_added]` (rows current cells, columns successors) and `uns[key_added]` (its
    `connectivities_key`, `params`, and `notes` on what was chosen, counted or left out). Nothing
    else changes. Works on what scanpy, Dask or rapids-singlecell left in `obsm` and `obsp`.

    Args:
        adata: Annotated cells, in memory or backed by a file; what is stored stays in memory.
        method: `knn`, `time`, `pseudotime`, `trajectory` or `precomputed`.
        key_added: Name of the graph.
        use_rep: Array of obsm with the cells' coordinates. By default `X_pca`; where that is not
            there, principal components of log-normalised counts are computed on the side.
        layer: Layer with the raw counts for that; X by default.
        use_raw: Take the counts for that from `raw` instead.
        copy: Return a copy with the graph, and leave `adata` as it is.
        **settings: Fields of `BuilderSettings`, such as `time_key` or `num_neighbors`.

    Returns:
        Nothing, or the copy.

    Raises:
        TypeError: No such setting.
        KeyError: A setting names something that `adata` does not hold.
        ValueError: No such method, a setting does not fit the cells, or the name of the graph is
            none that an .h5ad can hold.
        ImportError: A package that the method needs is not installed.

    Example:
        >>> gft.pp.next_cells(adata, method="time", time_key="day")
        >>> adata.obsp["next_cell_ids"]
    """
    require_key("key_added", key_added)
    known = {field.name for field in fields(BuilderSettings)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise TypeError(
            f"next_cells has no setting {', '.join(unknown)}; it has: {', '.join(sorted(known))}"
        )
    check_method(method)
    chosen = BuilderSettings(**settings)
    target = copied(adata) if copy else adata
    require_place_for_results(target)
    choice: dict[str, Any] = {"layer": layer, "use_raw": use_raw, "options": BY_LAYER}
    counts = cache(lambda: whole_counts(anndata_source(adata, **choice)))
    points, source = _points(adata, use_rep, choice, counts)
    cells = Cells(
        obs=adata.obs,
        points=points,
        obsp=_matrices(adata, chosen.obsp_key),
        expression=_expression(adata, choice, counts, method, chosen),
    )
    graph, notes = build(method, cells, chosen)
    for note in notes:
        logger.info("%s: %s", key_added, note)
    target.obsp[key_added] = graph.to_matrix()
    target.uns[key_added] = {
        "connectivities_key": key_added,
        "params": {"method": method, "use_rep": source, **_given(chosen)},
        "notes": np.array(notes, dtype=object),
    }
    return target if copy else None


def _matrices(adata: "anndata.AnnData", wanted: str | None) -> dict[str, Any]:
    """What `obsp` holds, and scVelo's velocity graph from `uns` where it is named."""
    matrices = dict(adata.obsp)
    if wanted not in matrices and wanted in velocity_graph_names(adata.uns):
        positive, negative = adata.uns[wanted], adata.uns.get(wanted + NEGATIVE)
        matrices[wanted] = velocity_transitions(positive, negative, adata.n_obs, wanted)
    elif wanted in matrices:
        matrices[wanted] = native_matrix(matrices[wanted])
    return matrices


def _points(
    adata: "anndata.AnnData",
    use_rep: str | None,
    choice: Mapping[str, Any],
    counts: Callable[[], sp.csr_array],
) -> tuple[Float[ndarray, "cell component"], str]:
    """Coordinates of the cells, and where they come from."""
    key = use_rep or _REPRESENTATION
    if use_rep is not None or key in adata.obsm:
        held = obsm_array(adata.obsm, key)
        if hasattr(held, "device") and hasattr(held, "get"):
            held = held.get()  # an array of a GPU comes to the host
        return native(held.toarray() if sp.issparse(held) else np.asarray(held)), key
    where, _, _ = chosen_matrix(adata, **choice)
    try:
        points = expression_pca(counts(), np.ones(adata.n_obs, dtype=bool))
    except NotCountsError as error:
        raise ValueError(
            f"obsm has no {_REPRESENTATION!r}, and {where} holds no raw counts to compute it from: "
            f"{error}. Or run scanpy.pp.pca first, or name an array of obsm (use_rep); obsm has: "
            f"{', '.join(adata.obsm) or 'none'}, layers: {named_layers(adata)}"
        ) from error
    return points, f"PCA of {where.removeprefix('adata.')}"


def _expression(
    adata: "anndata.AnnData",
    choice: Mapping[str, Any],
    counts: Callable[[], sp.csr_array],
    method: str,
    settings: BuilderSettings,
) -> sp.csr_array | None:
    """Log-normalised expression, for CytoTRACE alone."""
    if method != "trajectory" or settings.trajectory_method != "cytotrace_kernel":
        return None
    try:
        return log_normalised(counts())
    except NotCountsError as error:
        where, matrix, _ = chosen_matrix(adata, **choice)
        logger.info("%s is taken as log-normalised expression, for %s", where, error)
        return in_rows(whole_matrix(matrix), where)


def _given(settings: BuilderSettings) -> dict[str, Any]:
    """Settings as .h5ad can hold them: no None, no tuples."""
    values = {name: value for name, value in asdict(settings).items() if value is not None}
    return {n: list(value) if isinstance(value, tuple) else value for n, value in values.items()}
