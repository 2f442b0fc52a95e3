"""`gft.pl.rollout`: paths of walks, and the composition of their cells step by step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.in_memory import require_anndata
from bionemo.geneformer_t.fates.composition import total_variation
from bionemo.geneformer_t.fates.rollout_settings import ROLLOUT
from bionemo.geneformer_t.fates.rollout_tables import (
    CLUSTER,
    COLUMNS,
    EITHER_DIRECTION,
    EXACT,
    TIME_POINT,
    WALKS,
)
from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.pl.canvas import canvas, shown
from bionemo.geneformer_t.pl.label_colors import Palette, label_colors
from bionemo.geneformer_t.pl.stored import embedding, require_columns
from bionemo.geneformer_t.report.figures.cell_arrows import dot_size, draw_cells
from bionemo.geneformer_t.report.figures.composition_areas import draw_composition
from bionemo.geneformer_t.report.figures.fate_map import bare, legend_beside
from bionemo.geneformer_t.report.figures.walk_paths import draw_paths

if TYPE_CHECKING:
    import anndata

PANELS = ("paths", "composition")
_MOST_TIMES = 12
"""Time points that are drawn; of more, so many that are evenly apart."""


def rollout(
    adata: "anndata.AnnData",
    panels: str | Sequence[str] = PANELS,
    *,
    num_paths: int = 40,
    basis: str | None = None,
    palette: Palette | None = None,
    key: str = ROLLOUT,
    size: float | None = None,
    title: str | None = None,
    ncols: int = 2,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw walks on an embedding, and the composition of their cells beside true time points.

    A path has the colour of the cluster that it is in at last; a point is where it starts, a ring
    where it is at last. Areas are shares of the sampled walks. Dashed lines are the same borders
    for infinitely many walks, so where they differ from the areas, that is sampling noise. Bars are
    all cells of the later time points: a step has no unit of time, so they have no step.

    Args:
        adata: Cells after `gft.tl.rollout`.
        panels: `paths`, `composition`, or both.
        num_paths: Walks that are drawn, the first ones.
        basis: Array of obsm, `umap` or `X_umap`. By default the first that there is of `X_umap`,
            `X_emb`, `X_tsne`, `X_latent`, `X_draw_graph_fa`, and at last `X_pca`.
        palette: Colours of clusters: a mapping, a list, or a colour map; by default those of
            `uns[cluster_key + "_colors"]`, or ten that the colour-blind can tell apart.
        key: Where walks are, in uns.
        size: Area of a point, in square points.
        title: Of the first panel.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each panel.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There are no walks or no embedding, or cells of the walks are not in `adata`.
        ValueError: No such panel, or `uns` does not hold what `gft.tl.rollout` writes.

    Example:
        >>> gft.pl.rollout(adata, save="rollout.png")
    """
    wanted = [panels] if isinstance(panels, str) else list(panels)
    unknown = [name for name in wanted if name not in PANELS]
    if unknown:
        raise ValueError(
            f"panels must be of {', '.join(PANELS)}; got {', '.join(map(repr, unknown))}"
        )
    if num_paths < 1:
        raise ValueError(f"num_paths must be at least 1; got {num_paths}")
    held = _stored(adata, key)
    table, names = held["table"], _cluster_names(held["table"])
    colors = label_colors(adata, _column(adata, held), names, palette)
    places = embedding(adata, basis) if "paths" in wanted else None
    walks = None if places is None else _walks(adata, held, key)[:num_paths]
    with canvas(len(wanted), ax, (6.0, 4.2), show=show, save=save, columns=ncols) as drawn:
        for axes, name in zip(drawn, wanted, strict=True):
            if name == "paths":
                assert places is not None
                assert walks is not None
                cluster = _last_clusters(adata, held, walks)
                draw_cells(axes, places[0], None, size or dot_size(len(places[0])))
                draw_paths(axes, places[0], walks, [colors.get(one, "#777777") for one in cluster])
                bare(axes, _heading(walks, held), places[1])
            else:
                _draw_composition(axes, table, names, list(colors.values()))
        if title is not None:
            drawn[0].set_title(title, loc="left", fontsize=12)
    return shown(drawn, show=show)


def _stored(adata: "anndata.AnnData", key: str) -> dict[str, Any]:
    require_anndata(adata)
    if key not in adata.uns:
        held = ", ".join(map(str, adata.uns)) or "nothing"
        raise KeyError(f"uns has no {key!r}: run gft.tl.rollout first; uns has: {held}")
    found = adata.uns[key]
    table = found.get("table") if hasattr(found, "get") else None
    require_columns(table, COLUMNS, f"uns[{key!r}]['table']", "gft.tl.rollout")
    assert isinstance(found, dict)
    return found


def _cluster_names(table: pd.DataFrame) -> list[str]:
    rows = (table["source"] == EXACT) & (table["measure"] == CLUSTER)
    return [str(name) for name in table.loc[rows, "cluster"].unique()]


def _column(adata: "anndata.AnnData", held: dict[str, Any]) -> str | None:
    """The column of the clusters, where it is still there."""
    key = str(held["params"]["cluster_key"])
    return key if key in adata.obs else None


def _walks(adata: "anndata.AnnData", held: dict[str, Any], key: str) -> Int[ndarray, "walk time"]:
    """Places of the cells of each walk among these cells."""
    rows = adata.obs_names.astype(str).get_indexer(pd.Index(np.asarray(held["cells"]).astype(str)))
    lost = int((rows < 0).sum())
    if lost:
        raise KeyError(
            f"{lost:,} of the {len(rows):,} cells of walks in uns[{key!r}] are not in adata; draw "
            "all cells, or run gft.tl.rollout again on these"
        )
    found: Int[ndarray, "walk time"] = rows[np.asarray(held["walks"])]
    return found


def _last_clusters(
    adata: "anndata.AnnData", held: dict[str, Any], walks: Int[ndarray, "walk time"]
) -> list[str]:
    column = obs_column(adata.obs, str(held["params"]["cluster_key"]), "cluster_key")
    return [str(label) for label in column.iloc[walks[:, -1]]]


def _heading(walks: Int[ndarray, "walk time"], held: dict[str, Any]) -> str:
    of = f" of {len(held['walks']):,}" if len(held["walks"]) > len(walks) else ""
    return f"{len(walks):,}{of} walks of {walks.shape[1] - 1:,} steps"


def _draw_composition(axes: Any, table: pd.DataFrame, names: list[str], colors: list[str]) -> None:
    sampled, exact, null = (
        _shares(table, source, names) for source in (WALKS, EXACT, EITHER_DIRECTION)
    )
    true = _shares(table, TIME_POINT, names)
    of_times = table.loc[table["source"] == TIME_POINT, "time"]
    labels = list(dict.fromkeys(of_times.astype(str)))
    chosen = np.unique(np.linspace(0, len(labels) - 1, _MOST_TIMES).round().astype(int))
    chosen = chosen if len(labels) > _MOST_TIMES else np.arange(len(labels))
    draw_composition(
        axes, sampled, exact, true[chosen], [labels[at] for at in chosen], names, colors
    )
    noise = float(total_variation(sampled, exact).max())
    direction = float(total_variation(exact[-1], null[-1]))
    axes.set_xlabel(
        f"steps{'; then time points' if labels else ''}\n"
        f"dashed: exact; sampled shares differ by {noise:.2f} at most,\n"
        f"walks in either direction at last by {direction:.2f} (total variation)",
        fontsize=9, loc="left",
    )  # fmt: skip
    axes.set_title("Where walks are", loc="left", fontsize=12)
    legend_beside(axes)


def _shares(table: pd.DataFrame, source: str, names: list[str]) -> Float[ndarray, "time cluster"]:
    rows = (table["source"] == source) & (table["measure"] == CLUSTER)
    found: Float[ndarray, "time cluster"] = table.loc[rows, "share"].to_numpy(dtype=np.float64)
    return found.reshape(-1, len(names))
