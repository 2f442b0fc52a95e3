"""Fates that an AnnData object holds, as the report draws them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.fates.find_fates import made_by
from bionemo.geneformer_t.fates.terminal_settings import STEPS
from bionemo.geneformer_t.neighbors.expression_pca import fit_axes
from bionemo.geneformer_t.pl.stored import (
    DRIVERS,
    FATES,
    LAST_RESORT,
    TRANSITIONS,
    choice_table,
    driver_table,
    embedding,
    fate_table,
    transition_matrix,
)
from bionemo.geneformer_t.report.fate_section import FateResults
from bionemo.geneformer_t.report.figures.cell_map import MAPS, in_two_dimensions

if TYPE_CHECKING:
    import anndata

_ROWS, _SEED = 2048, 0


BY_THIS = "The transitions that they follow are by the model of this report."
UNKNOWN = (
    "Which model the transitions that they follow are by is not stored with them, so it could not "
    "be checked that it is the model of this report."
)


def fate_results(
    adata: "anndata.AnnData", cluster_key: str | None = None, model: str | None = None
) -> FateResults:
    """What `gft.tl.fates` wrote, and what else there is: transitions, drivers, other choices.

    Args:
        adata: Annotated cells with fates. Where they have no embedding, a UMAP of their counts is
            computed for the page.
        cluster_key: Column of obs with clusters; by default that of the terminal states.
        model: Fingerprint of the model of the report, where it is to be checked that the fates
            follow its transitions.

    Raises:
        KeyError: There are no fates, or no such column; says what to run.
        ValueError: What is stored are no probabilities, or they follow another model's transitions.
    """
    table = fate_table(adata, FATES)
    coordinates, name = _map(adata)
    made = adata.uns.get(FATES, {})
    transitions = str(made.get("params", {}).get("transitions_key", TRANSITIONS))
    notes = [] if model is None else [_whose(made, adata.uns.get(transitions), model)]
    cluster_key = cluster_key or made.get("params", {}).get("cluster_key") or None
    if cluster_key is not None and cluster_key not in adata.obs:
        raise KeyError(
            f"cluster_key: obs has no column {cluster_key!r}; it has: {', '.join(adata.obs)}"
        )
    return FateResults(
        fates=table,
        coordinates=coordinates,
        map_name=name,
        terminal=_categories(adata, "terminal_state"),
        steps=np.asarray(adata.obs[STEPS], dtype=np.float64) if STEPS in adata.obs else None,
        cluster=None if cluster_key is None else _categories(adata, cluster_key),
        transitions=transition_matrix(adata, transitions) if transitions in adata.obsp else None,
        drivers=driver_table(adata, DRIVERS) if DRIVERS in adata.uns else None,
        by_choice=choice_table(adata),
        notes=notes,
        driver_notes=[
            str(note) for note in adata.uns.get(f"{DRIVERS}_params", {}).get("notes", ())
        ],
    )


def _whose(made: Any, how: Any, model: str) -> str:
    """A sentence on the model that fates are by.

    Raises:
        ValueError: It is another one than that of the report.
    """
    found = made_by(made) or made_by(how)
    if not found:
        return UNKNOWN
    if found != model:
        raise ValueError(
            "fates: the transitions that these fates follow are by another model than this "
            "checkpoint; give the checkpoint that they are by, or make transitions and fates again "
            "with this one (geneformer-t transitions, geneformer-t fates)"
        )
    return BY_THIS


def _categories(adata: "anndata.AnnData", key: str) -> "pd.Categorical[Any] | None":
    if key not in adata.obs:
        return None
    column = adata.obs[key]
    return pd.Categorical(column.astype("category").cat.remove_unused_categories())


def _map(adata: "anndata.AnnData") -> tuple[Float[ndarray, "cell 2"], str]:
    """The embedding of the file, or else a UMAP of log-normalised counts, and its name."""
    if any(key in adata.obsm for key in (*MAPS, LAST_RESORT)):
        return embedding(adata, None)
    layer = adata.uns.get(TRANSITIONS, {}).get("params", {}).get("layer", "X")
    counts = adata.layers.get(layer, adata.X)

    def blocks() -> Iterator[sp.csr_array]:
        for start in range(0, adata.n_obs, _ROWS):
            yield sp.csr_array(counts[start : start + _ROWS])

    axes = fit_axes(blocks, adata.n_vars)
    points = np.concatenate([axes.project(block) for block in blocks()])
    name, coordinates = in_two_dimensions(points, _SEED, points.shape[1])
    return coordinates, name
