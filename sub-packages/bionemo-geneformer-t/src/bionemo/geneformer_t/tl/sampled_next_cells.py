"""`gft.tl.sample_next_cells`: real cells drawn as the next ones, with their counts."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    chosen_matrix,
    require_anndata,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.fates.drawn_cells import DrawnCells, drawn_cells
from bionemo.geneformer_t.fates.find_fates import made_by, stored_transitions
from bionemo.geneformer_t.fates.sample_settings import SampleSettings
from bionemo.geneformer_t.model.transition_settings import KEY

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)

NEXT_CELLS = "next_cells"
"""Where `uns` says how cells were drawn."""
COLUMNS = ("current_cell", "next_cell", "probability", "draw")
"""What is written to obs, beside the columns of the drawn cells."""


def sample_next_cells(
    adata: "anndata.AnnData",
    num_cells: int = SampleSettings.num_cells,
    *,
    candidates: "anndata.AnnData | None" = None,
    transitions: Any = KEY,
    layer: str | None = None,
    use_raw: bool = False,
    seed: int = SampleSettings.seed,
) -> "anndata.AnnData":
    """Draw real next cells of each cell by its transition probabilities, with their counts.

    Drawn cells are whole ones: their genes go together as they do in cells, which independent draws
    of genes cannot give. As a population they are what the transitions say comes next.

    Args:
        adata: Current cells, with transition probabilities in obsp or given as a matrix.
        num_cells: Draws for each current cell, with replacement.
        candidates: The cells that are drawn, such as an atlas; by default those of `adata`.
        transitions: Key of obsp; with `candidates` the matrix of cells x candidates that
            `gft.tl.transitions(adata, model, candidates)` returns. Rows sum to 1; a row without
            any entry has no candidates.
        layer: Layer with the raw counts of the drawn cells; X by default.
        use_raw: Take their counts and genes from `raw` instead.
        seed: The same seed draws the same cells, and more draws leave the first ones as they are.

    Returns:
        Drawn cells, those of the first current cell first. `X` has their raw counts, `var` their
        genes with symbols and all else, `obsm` their coordinates. `obs` has their columns, and

        * `current_cell`, `next_cell`: names of both;
        * `probability`: that of the transition;
        * `draw`: 0, 1, ... of the draws of a current cell, which end the names of cells,
          `CURRENT-0`, `CURRENT-1`, ....

        `uns["next_cells"]` has the `unit` of X, `params`, `notes` on what was met, and `model`, the
        fingerprint of the model where it is known.

    Raises:
        TypeError: `adata` or `candidates` is no AnnData object, or a setting has the wrong type.
        KeyError: No such matrix, layer, or no raw.
        ValueError: The matrix is no transition matrix of these cells and candidates, no cell has
            candidates, the values are no raw counts, or `num_cells` is below 1.

    Example:
        >>> following = gft.tl.sample_next_cells(adata, 5)
        >>> following.obs[["current_cell", "next_cell", "probability"]].head()
    """
    settings = SampleSettings(num_cells=num_cells, seed=seed)
    require_anndata(adata)
    pool = adata if candidates is None else candidates
    require_anndata(pool)
    matrix, where, model = _matrix(adata, transitions, with_candidates=candidates is not None)
    names = adata.obs_names.astype(str)
    drawn = drawn_cells(matrix, names, pool.n_obs, where, settings, among=candidates is None)
    found = _cells(pool, drawn, layer, use_raw=use_raw)
    current = names.to_numpy(dtype=object)[drawn.current]
    values = (current, pool.obs_names.to_numpy(dtype=object)[drawn.following])
    for name, column in zip(COLUMNS, (*values, drawn.probability, drawn.number), strict=True):
        found.obs[name] = column
    found.obs_names = [f"{cell}-{draw}" for cell, draw in zip(current, drawn.number, strict=True)]
    found.obs_names_make_unique(join="_")
    found.uns[NEXT_CELLS] = {
        "unit": "raw counts of the drawn cells",
        "params": {
            **vars(settings), "layer": "X" if layer is None else layer, "use_raw": use_raw,
            "transitions": where, "candidates": "the cells themselves" if candidates is None
            else f"{pool.n_obs:,} other cells",
        },
        "notes": np.array(drawn.notes, dtype=object),
        "model": model,
    }  # fmt: skip
    for note in drawn.notes:
        logger.warning("%s", note)
    return found


def _matrix(
    adata: "anndata.AnnData", transitions: Any, *, with_candidates: bool
) -> tuple[Any, str, str]:
    """The matrix, what to call it, and the fingerprint of its model."""
    if not isinstance(transitions, str):
        return transitions, "transitions", ""
    if with_candidates:
        raise ValueError(
            f"transitions: {transitions!r} names a matrix of adata's own cells; with candidates, "
            "give the matrix of cells x candidates that gft.tl.transitions(adata, model, "
            "candidates) returns"
        )
    matrix = stored_transitions(adata.obsp, transitions, adata.uns)
    return matrix, f"obsp[{transitions!r}]", made_by(adata.uns.get(transitions))


def _cells(
    pool: "anndata.AnnData", drawn: DrawnCells, layer: str | None, *, use_raw: bool
) -> "anndata.AnnData":
    """The drawn cells with their counts as X; each is read once, however often it is drawn."""
    import anndata

    rows, places = np.unique(drawn.following, return_inverse=True)
    once = pool[rows].to_memory()
    with row_wise(anndata_source(once, layer, use_raw=use_raw, options=BY_LAYER)) as source:
        for _ in source.blocks():
            pass  # values that are no raw counts are refused here
    _, counts, var = chosen_matrix(once, layer, use_raw=use_raw, options=BY_LAYER)
    return anndata.AnnData(
        counts[places],
        obs=once.obs.iloc[places].reset_index(drop=True).set_axis(
            np.arange(len(places)).astype(str)
        ),
        var=var.copy(),
        obsm={
            key: value.iloc[places].set_axis(np.arange(len(places)).astype(str))
            if hasattr(value, "iloc") else value[places]
            for key, value in once.obsm.items()
        },
    )  # fmt: skip
