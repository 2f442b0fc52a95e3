"""`gft.pl.transitions` and `flow`: where the transitions of `gft.tl.transitions` lead."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bionemo.geneformer_t.neighbors.quality.composition import flow_of_edges
from bionemo.geneformer_t.pl.canvas import canvas, shown
from bionemo.geneformer_t.pl.label_colors import (
    Palette,
    categories,
    is_numeric,
    label_colors,
)
from bionemo.geneformer_t.pl.stored import TRANSITIONS, embedding, transition_matrix
from bionemo.geneformer_t.report.figures.cell_arrows import dot_size, draw_cells
from bionemo.geneformer_t.report.figures.cluster_flow import draw_heat_map
from bionemo.geneformer_t.report.figures.cluster_names import draw_names
from bionemo.geneformer_t.report.figures.fate_figures import steps_of, texts
from bionemo.geneformer_t.report.figures.fate_map import (
    bare,
    draw_labels,
    draw_values,
    legend_beside,
)
from bionemo.geneformer_t.report.figures.transition_arrows import (
    draw_transition_arrows,
    transition_moves,
)

if TYPE_CHECKING:
    import anndata

_LEGENDS: dict[str, Callable[[Any, Any, Any, str], None]] = {
    "on data": lambda axes, points, labels, _: draw_names(axes, points, labels),
    "right margin": lambda axes, _, __, title: legend_beside(axes, title),
    "none": lambda *_: None,
}
"""Where labels are named, as scanpy calls it."""


def transitions(
    adata: "anndata.AnnData",
    color: str | None = None,
    *,
    basis: str | None = None,
    palette: Palette | None = None,
    legend_loc: str = "on data",
    beyond_density: bool = True,
    key: str = TRANSITIONS,
    cmap: str = "viridis",
    size: float | None = None,
    title: str = "Where cells go",
    seed: int = 0,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the expected displacement of cells on an embedding, as arrows averaged over a grid.

    Even a chain without any direction moves cells toward where cells are many. The displacement of
    such a chain, which goes to so many of the nearest cells that its mean step is as long, is
    subtracted, as velocity plots do: an arrow shows what the transitions add. Cells that stay where
    they are have no part in arrows.

    Args:
        adata: Cells after `gft.tl.transitions`.
        color: Column of obs to colour by; labels are named, numbers have a colour bar.
        basis: Array of obsm, `umap` or `X_umap`. By default the first that there is of `X_umap`,
            `X_emb`, `X_tsne`, `X_latent`, `X_draw_graph_fa`, and at last `X_pca`.
        palette: Colours of labels: a mapping, a list, or a colour map; by default those of
            `uns[color + "_colors"]`, or ten that the colour-blind can tell apart.
        legend_loc: Names of labels `on data`, in a legend in the `right margin`, or `none`.
        beyond_density: Subtract the displacement of a chain without direction.
        key: Where the transition matrix is, in obsp.
        cmap: For numbers.
        size: Area of a point, in square points.
        title: Of the panel.
        seed: Of the samples that are taken of many cells.
        ax: Axes to draw on.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes; None with `show`.

    Raises:
        KeyError: There are no transitions, no such column, or no embedding.
        ValueError: Rows of the matrix do not sum to 1, coordinates are missing, or there is no such
            place of a legend.

    Example:
        >>> gft.pl.transitions(adata, color="cell_type")
    """
    if legend_loc not in _LEGENDS:
        raise ValueError(f"legend_loc must be one of {', '.join(_LEGENDS)}; got {legend_loc!r}")
    matrix = transition_matrix(adata, key)
    points, where = embedding(adata, basis)
    numeric = color is not None and is_numeric(adata, color)
    labels = None if color is None or numeric else categories(adata, color, "color")
    colors = {} if labels is None else label_colors(adata, color, list(labels.categories), palette)
    rng = np.random.default_rng(seed)
    found = transition_moves(matrix, points, rng, beyond_density=beyond_density)
    with canvas(1, ax, (6.4, 4.8), show=show, save=save) as panels:
        axes = panels[0]
        if labels is not None:
            draw_labels(axes, points, texts(labels), colors, size)
        elif color is not None:
            numbers = adata.obs[color].to_numpy(dtype=np.float64)
            draw_values(axes, points, numbers, title="", name=color, size=size, cmap=cmap)
        else:
            draw_cells(axes, points, None, dot_size(len(points)) if size is None else size)
        bare(axes, title)
        draw_transition_arrows(axes, points, found, where)
        if labels is not None:
            _LEGENDS[legend_loc](axes, points, labels, str(color))
    return shown(panels, show=show)


def flow(
    adata: "anndata.AnnData",
    cluster_key: str,
    *,
    key: str = TRANSITIONS,
    title: str | None = None,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw which cluster's cells go to which cluster, as a heat map with percentages.

    Clusters whose order is known (an ordered categorical) keep it; others are arranged from where
    steps come from to where they go. Steps of a cell to itself count.

    Args:
        adata: Cells after `gft.tl.transitions`.
        cluster_key: Column of obs with clusters; steps from or to cells without one are left out.
        key: Where the transition matrix is, in obsp.
        title: Of the panel.
        ax: Axes to draw on.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes; None with `show`.

    Raises:
        KeyError: There are no transitions, or no such column.
        ValueError: Rows of the matrix do not sum to 1.

    Example:
        >>> gft.pl.flow(adata, "cell_type")
    """
    matrix = transition_matrix(adata, key)
    clusters = categories(adata, cluster_key, "cluster_key")
    found = flow_of_edges([steps_of(matrix)], clusters)
    width = 3.2 + 0.42 * min(len(clusters.categories), 30)
    with canvas(1, ax, (width, 0.85 * width), show=show, save=save) as panels:
        draw_heat_map(panels[0], found)
        if title is not None:
            panels[0].set_title(title, loc="left", fontsize=12)
    return shown(panels, show=show)
