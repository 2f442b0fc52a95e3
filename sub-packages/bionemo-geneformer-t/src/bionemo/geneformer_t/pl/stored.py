"""What pictures read from an AnnData object; what is missing is refused with how to make it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.counts.data_frames import native
from bionemo.geneformer_t.counts.in_memory import require_anndata
from bionemo.geneformer_t.fates.chain_structure import checked_transitions
from bionemo.geneformer_t.fates.compare_choices import COLUMNS
from bionemo.geneformer_t.fates.driver_settings import DRIVERS
from bionemo.geneformer_t.fates.fate_tables import checked_fates
from bionemo.geneformer_t.fates.terminal_settings import BY_CHOICE, FATES, TERMINAL
from bionemo.geneformer_t.model.transition_settings import KEY as TRANSITIONS
from bionemo.geneformer_t.report.figures.cell_map import MAPS

if TYPE_CHECKING:
    import anndata

__all__ = [
    "DRIVERS", "FATES", "LAST_RESORT", "TRANSITIONS", "chosen_fates", "cluster_effects",
    "driver_table", "effects_in_cells", "embedding", "fate_table", "perturbation_table",
    "require_columns", "terminal_cells", "transition_matrix",
]  # fmt: skip

LAST_RESORT = "X_pca"
"""Drawn by its first two columns where there is no map."""


def fate_table(adata: "anndata.AnnData", key: str) -> pd.DataFrame:
    """Fate probabilities, a column for each fate.

    Raises:
        KeyError: They are not there.
        ValueError: They are no table with names, or no probabilities.
    """
    require_anndata(adata)
    if key not in adata.obsm:
        raise KeyError(
            f"obsm has no {key!r}: run gft.tl.fates first; obsm has: {_names(adata.obsm)}"
        )
    table = adata.obsm[key]
    if not isinstance(table, pd.DataFrame):
        raise ValueError(
            f"obsm[{key!r}] must be a table with a column for each fate; got "
            f"{type(table).__name__}. Run gft.tl.fates, or give a pandas DataFrame"
        )
    fates = checked_fates(table, f"obsm[{key!r}]")
    if not np.isfinite(fates.to_numpy()).any():
        raise ValueError(f"obsm[{key!r}] must hold probabilities from 0 to 1; got only NaN")
    return fates


def chosen_fates(table: pd.DataFrame, names: list[str]) -> list[str]:
    """Names of fates that exist.

    Raises:
        KeyError: One does not exist; lists those that do.
    """
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise KeyError(
            f"there is no fate {', '.join(map(repr, unknown))}; the fates are: "
            f"{', '.join(table.columns)}"
        )
    return names


def terminal_cells(adata: "anndata.AnnData", fate: str) -> Bool[ndarray, " cell"] | None:
    """Which cells are terminal cells of a fate; None where it is not known."""
    if TERMINAL not in adata.obs:
        return None
    states = adata.obs[TERMINAL].astype(object).map(str, na_action="ignore")
    return (states == fate).to_numpy(dtype=bool)


def transition_matrix(adata: "anndata.AnnData", key: str) -> sp.csr_array:
    """Transition probabilities, current cells in rows.

    Raises:
        KeyError: They are not there.
        ValueError: It is no transition matrix.
    """
    require_anndata(adata)
    if key not in adata.obsp:
        raise KeyError(
            f"obsp has no {key!r}: run gft.tl.transitions first; obsp has: {_names(adata.obsp)}"
        )
    return checked_transitions(adata.obsp[key], adata.obs_names.to_numpy(), f"obsp[{key!r}]")


def driver_table(adata: "anndata.AnnData", key: str) -> pd.DataFrame:
    """Driver genes, a row for each gene and fate.

    Raises:
        KeyError: They are not there.
        ValueError: The table has not the columns of `gft.tl.drivers`.
    """
    require_anndata(adata)
    if key not in adata.uns:
        raise KeyError(
            f"uns has no {key!r}: run gft.tl.drivers first; uns has: {_names(adata.uns)}"
        )
    table = adata.uns[key]
    needed = ("fate", "gene", "symbol", "effect", "p_value", "fdr")
    require_columns(table, needed, f"uns[{key!r}]", "gft.tl.drivers")
    return table


def perturbation_table(adata: "anndata.AnnData | pd.DataFrame", key: str) -> pd.DataFrame:
    """Effects of edited genes, a row for each readout and target.

    Raises:
        KeyError: They are not there.
        ValueError: The table has not the columns of `gft.tl.perturb`.
    """
    table, where = adata, "the table"
    if not isinstance(adata, pd.DataFrame):
        table, where = _of_perturb(adata, key), f"uns[{key!r}]"
    needed = (
        "readout", "target", "symbol", "effect", "null_mean", "null_sd", "z", "p_value", "fdr",
    )  # fmt: skip
    require_columns(table, needed, where, "gft.tl.perturb")
    assert isinstance(table, pd.DataFrame)
    return table


def cluster_effects(adata: "anndata.AnnData", key: str) -> pd.DataFrame:
    """Effects of edited genes in each cluster, a row for each readout, target and cluster.

    Raises:
        KeyError: They are not there.
        ValueError: There were no clusters, or the table has not the columns of `gft.tl.perturb`.
    """
    table = _of_perturb(adata, f"{key}_by_cluster")
    needed = ("readout", "symbol", "cluster", "effect", "cells")
    require_columns(table, needed, f"uns[{key + '_by_cluster'!r}]", "gft.tl.perturb")
    if not len(table):
        raise ValueError(
            "there are no effects by cluster: no cell is affected by the edits, or gft.tl.perturb "
            "was run without cluster_key"
        )
    return table


def effects_in_cells(
    adata: "anndata.AnnData", key: str, readout: str, symbols: Sequence[str]
) -> pd.DataFrame:
    """Effects of some targets in each cell, NaN where an edit does nothing.

    Raises:
        KeyError: They are not there.
    """
    name = f"{key}: {readout}"
    if name not in adata.obsm:
        raise KeyError(
            f"obsm has no {name!r}: run gft.tl.perturb with with_cells=True; obsm has: "
            f"{_names(adata.obsm)}"
        )
    table = adata.obsm[name]
    missing = [symbol for symbol in symbols if symbol not in table]
    if missing:
        raise KeyError(f"obsm[{name!r}] has no effects of {', '.join(map(repr, missing))}")
    return table[list(symbols)]


def _of_perturb(adata: "anndata.AnnData", key: str) -> Any:
    require_anndata(adata)
    if key not in adata.uns:
        raise KeyError(
            f"uns has no {key!r}: run gft.tl.perturb first; uns has: {_names(adata.uns)}"
        )
    return adata.uns[key]


def choice_table(adata: "anndata.AnnData") -> pd.DataFrame | None:
    """Fates for several choices of terminal states; None where they were not compared.

    Raises:
        ValueError: The table has not the columns of `gft.tl.compare_fates`.
    """
    table = adata.uns.get(BY_CHOICE)
    if table is not None:
        require_columns(table, COLUMNS, f"uns[{BY_CHOICE!r}]", "gft.tl.compare_fates")
    return table


def require_columns(table: Any, needed: Sequence[str], where: str, maker: str) -> None:
    """Check that a table is of a function.

    Raises:
        ValueError: It lacks columns that the function writes.
    """
    columns = list(table.columns) if isinstance(table, pd.DataFrame) else []
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ValueError(f"{where} must be the table of {maker}; it has no {', '.join(missing)}")


def embedding(adata: "anndata.AnnData", basis: str | None) -> tuple[Float[ndarray, "cell 2"], str]:
    """Two coordinates of each cell, and their name.

    Args:
        adata: Annotated cells.
        basis: Array of obsm, with or without `X_`. By default the first that there is of UMAP
            (`X_umap`), `X_emb`, t-SNE (`X_tsne`), `X_latent`, a force-directed layout
            (`X_draw_graph_fa`), and at last the first two of `X_pca`.

    Raises:
        KeyError: No such array, or none of these.
        ValueError: It has no two columns, or coordinates are missing.
    """
    if basis is not None:
        key = next((k for k in (basis, f"X_{basis}") if k in adata.obsm), None)
        if key is None:
            raise KeyError(
                f"basis: obsm has neither {basis!r} nor 'X_{basis}'; it has: {_names(adata.obsm)}"
            )
    else:
        key = next((k for k in (*MAPS, LAST_RESORT) if k in adata.obsm), None)
        if key is None:
            raise KeyError(
                f"there is no embedding to draw on: obsm has none of {', '.join(MAPS)}, "
                f"{LAST_RESORT}; it has: {_names(adata.obsm)}. Run scanpy.tl.umap, or name an "
                "array of obsm with two columns (basis)"
            )
    held = adata.obsm[key]
    points = np.asarray(native(held.toarray() if sp.issparse(held) else held))
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"basis: obsm[{key!r}] must have two columns; its shape is {points.shape}")
    points = points[:, :2].astype(np.float64)
    lost = int((~np.isfinite(points).all(axis=1)).sum())
    if lost:
        raise ValueError(
            f"basis: {lost:,} of {len(points):,} cells have no place in obsm[{key!r}] (NaN); leave "
            "them out, or name another array (basis)"
        )
    name = "first two principal components" if key == LAST_RESORT else MAPS.get(key, key)
    return points, name


def _names(mapping: Any) -> str:
    return ", ".join(map(str, mapping)) or "nothing"
