"""`gft.pl.fates`, `fate_triangle` and `fate_bars`: what `gft.tl.fates` has found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.pl.canvas import canvas, shown
from bionemo.geneformer_t.pl.label_colors import (
    Palette,
    categories,
    is_numeric,
    key_of_labels,
    label_colors,
)
from bionemo.geneformer_t.pl.stored import (
    FATES,
    chosen_fates,
    embedding,
    fate_table,
    terminal_cells,
)
from bionemo.geneformer_t.report.figures.cluster_flow import short_names
from bionemo.geneformer_t.report.figures.fate_bars import bar_order, draw_bars, mean_fates
from bionemo.geneformer_t.report.figures.fate_figures import NO_FATE, most_entropy, texts
from bionemo.geneformer_t.report.figures.fate_map import (
    draw_labels,
    draw_values,
    legend_beside,
)
from bionemo.geneformer_t.report.figures.fate_triangle import barycentric, draw_triangle

if TYPE_CHECKING:
    import anndata

NUMBERS = {
    "fate_entropy": ("fate entropy", "nats"),
    "fate_steps": ("expected steps to a fate", "steps"),
    "fate_reached": ("probability of ever reaching a fate", "probability"),
}
"""Columns of obs that `gft.tl.fates` writes: title and unit."""


def fates(
    adata: "anndata.AnnData",
    color: str | Sequence[str] | None = None,
    *,
    basis: str | None = None,
    key: str = FATES,
    cmap: str = "viridis",
    size: float | None = None,
    ncols: int = 4,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw fate probabilities on an embedding, a panel for each fate, terminal cells ringed.

    Args:
        adata: Cells after `gft.tl.fates`.
        color: What panels show: names of fates, and `fate_entropy`, `fate_steps` or `fate_reached`.
            By default all fates and, where `obs` has it, the entropy.
        basis: Array of obsm, `umap` or `X_umap`. By default the first that there is of `X_umap`,
            `X_emb`, `X_tsne`, `X_latent`, `X_draw_graph_fa`, and at last `X_pca`.
        key: Where the probabilities are, in obsm.
        cmap: A colour map of Matplotlib.
        size: Area of a point, in square points.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each panel.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There are no fates, no such fate, or no embedding.
        ValueError: The fates are no probabilities, or `ax` has another number of Axes.

    Example:
        >>> gft.pl.fates(adata, save="fates.png")
    """
    table = fate_table(adata, key)
    limits = {"fate_entropy": (0.0, most_entropy(table.shape[1])), "fate_reached": (0.0, 1.0)}
    default = [*table.columns, *(["fate_entropy"] if "fate_entropy" in adata.obs else [])]
    wanted = default if color is None else [color] if isinstance(color, str) else list(color)
    chosen_fates(table, [name for name in wanted if name not in NUMBERS])
    points, where = embedding(adata, basis)
    title_of = dict(zip(table.columns, short_names(list(table.columns), 32), strict=True))
    with canvas(len(wanted), ax, (4.2, 3.6), show=show, save=save, columns=ncols) as panels:
        for axes, name in zip(panels, wanted, strict=True):
            is_fate = name in table.columns
            title, unit = (title_of[name], "fate probability") if is_fate else NUMBERS[name]
            values = table[name] if is_fate else obs_column(adata.obs, name, "color")
            draw_values(
                axes, points, values.to_numpy(dtype=np.float64), title=title, name=unit,
                limits=(0.0, 1.0) if is_fate else limits.get(name),
                terminal=terminal_cells(adata, name) if is_fate else None, size=size, cmap=cmap,
                missing=NO_FATE,
            )  # fmt: skip
            axes.set_ylabel(where, fontsize=9, color="#444444")
    return shown(panels, show=show)


def fate_triangle(
    adata: "anndata.AnnData",
    color: str | None = None,
    *,
    palette: Palette | None = None,
    key: str = FATES,
    cmap: str = "viridis",
    size: float | None = None,
    title: str | None = None,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw cells in a triangle of three fates: in a corner a cell is certain of its fate.

    Args:
        adata: Cells after `gft.tl.fates`.
        color: Column of obs to colour by; labels have a legend, numbers a colour bar. By default
            cells have the colour of their most probable fate.
        palette: Colours of labels: a mapping, a list, or a colour map; by default those of
            `uns[color + "_colors"]`, or ten that the colour-blind can tell apart.
        key: Where the probabilities are, in obsm.
        cmap: For numbers.
        size: Area of a point, in square points.
        title: Of the panel.
        ax: Axes to draw on.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes; None with `show`.

    Raises:
        KeyError: There are no fates, or no such column.
        ValueError: There are not three fates.

    Example:
        >>> gft.pl.fate_triangle(adata, color="cell_type")
    """
    table = fate_table(adata, key)
    if table.shape[1] != 3:
        raise ValueError(
            f"a triangle needs three fates; obsm[{key!r}] has {table.shape[1]}: "
            f"{', '.join(table.columns)}. gft.pl.fate_bars draws any number"
        )
    known = np.isfinite(table.to_numpy()).all(axis=1)
    places = barycentric(table.to_numpy()[known])
    names = tuple(table.columns)
    lost = int((~known).sum())
    heading = title or "Fates of {:,} cells{}".format(
        known.sum(), f" ({lost:,} reach none)" if lost else ""
    )
    if color is not None and is_numeric(adata, color):
        numbers = adata.obs[color].to_numpy(dtype=np.float64)[known]
        with canvas(1, ax, (5.8, 4.6), show=show, save=save) as panels:
            draw_values(panels[0], places, numbers, title=heading, name=color, size=size, cmap=cmap)
            draw_triangle(panels[0], names)
        return shown(panels, show=show)
    if color is None:
        best = table.to_numpy()[known].argmax(axis=1)
        labels, order = np.array(names)[best], list(names)
    else:
        column = categories(adata, color, "color")
        labels, order = texts(column)[known], list(column.categories)
    colors = label_colors(adata, color or key_of_labels(adata, names), order, palette)
    with canvas(1, ax, (6.2, 4.6), show=show, save=save) as panels:
        draw_labels(panels[0], places, labels, colors, size)
        draw_triangle(panels[0], names)
        panels[0].set_title(heading, loc="left", fontsize=12)
        legend_beside(panels[0], color or "most probable fate")
    return shown(panels, show=show)


def fate_bars(
    adata: "anndata.AnnData",
    cluster_key: str,
    *,
    palette: Palette | None = None,
    key: str = FATES,
    title: str | None = None,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the mean fate probabilities of each cluster, as stacked bars with percentages.

    Clusters without an order (that of an ordered categorical) that are a fate come last.

    Args:
        adata: Cells after `gft.tl.fates`.
        cluster_key: Column of obs with clusters; cells without one are left out.
        palette: Colours of fates: a mapping, a list, or a colour map. By default a fate that is
            called as a cluster has its colour in `uns[cluster_key + "_colors"]`.
        key: Where the probabilities are, in obsm.
        title: Of the panel.
        ax: Axes to draw on.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes; None with `show`.

    Raises:
        KeyError: There are no fates, or no such column.
        ValueError: There is only one fate, which every cell has.

    Example:
        >>> gft.pl.fate_bars(adata, "cell_type")
    """
    table = fate_table(adata, key)
    if table.shape[1] < 2:
        raise ValueError(
            f"bars need at least two fates; obsm[{key!r}] has one, {table.columns[0]!r}, which "
            "every cell that reaches any has"
        )
    clusters = categories(adata, cluster_key, "cluster_key")
    names = list(clusters.categories)
    means, cells = mean_fates(table.to_numpy(), np.asarray(clusters.codes), len(names))
    colors = label_colors(adata, cluster_key, list(table.columns), palette)
    order = bar_order(means, is_ordered=bool(clusters.ordered))
    rows = [names[place] for place in order]
    with canvas(1, ax, (7.4, 1.3 + 0.34 * len(names)), show=show, save=save) as panels:
        draw_bars(
            panels[0], means[order], cells[order], rows, list(table.columns), list(colors.values())
        )
        panels[0].set_title(title or f"Fates by {cluster_key}", loc="left", fontsize=12)
    return shown(panels, show=show)
