"""`gft.pl.perturbation_*`: what `gft.tl.perturb` has found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.in_memory import BY_LAYER, anndata_source
from bionemo.geneformer_t.false_discoveries import FDR
from bionemo.geneformer_t.inference.checkpoint import trained_model
from bionemo.geneformer_t.inference.gene_ranks import ranks_in_cells
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.perturb_settings import PERTURBATION
from bionemo.geneformer_t.perturbation.readouts import FATE
from bionemo.geneformer_t.pl.canvas import canvas, shown
from bionemo.geneformer_t.pl.label_colors import (
    Palette,
    key_of_labels,
    label_colors,
    numbers_along,
)
from bionemo.geneformer_t.pl.stored import (
    FATES,
    chosen_fates,
    cluster_effects,
    effects_in_cells,
    fate_table,
    perturbation_table,
)
from bionemo.geneformer_t.pl.trend_panels import draw_trends
from bionemo.geneformer_t.report.figures.cluster_effects import draw_cluster_effects
from bionemo.geneformer_t.report.figures.perturbation_figures import (
    LEAST_CELLS,
    NUM_LABELS,
    controls_of,
    draw_volcanoes,
    effects_in_clusters,
    first_fate_changes,
    first_symbols,
    rows_of,
    volcano_panels,
)
from bionemo.geneformer_t.report.figures.style import MODEL
from bionemo.geneformer_t.some_names import some_names

if TYPE_CHECKING:
    import anndata

_ALL_CELLS = "all cells"


def perturbation_volcano(
    adata: "anndata.AnnData | pd.DataFrame",
    readout: str | None = None,
    *,
    controls: Sequence[str] | None = None,
    fdr: float = FDR,
    num_labels: int = NUM_LABELS,
    key: str = PERTURBATION,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the effects of one readout beside their nulls, and the same of each control.

    The height is how many standard deviations an effect is from that of matched genes; grey points
    are genes that are not found, and a grey line is the null of a gene that is named.

    Args:
        adata: Cells after `gft.tl.perturb`, or the table that it returns.
        readout: Which one; by default the first of the table.
        controls: Which controls to draw beside the model, by their names; by default all.
        fdr: Rate of false discoveries below which a gene is coloured and may be named.
        num_labels: Genes to name in a panel, those found with the largest `|z|`. All are named
            where there are no more; of a screen the first ones are, found or not.
        key: Where the table is, in uns.
        ax: Axes to draw on, one for the model and each control.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are controls; None with `show`.

    Raises:
        KeyError: There is no table, no such readout or no such control.
        ValueError: The table lacks columns, no gene of the readout has a null, or `ax` has another
            number of Axes.

    Example:
        >>> gft.pl.perturbation_volcano(adata, "transition row")
    """
    table = perturbation_table(adata, key)
    name = _readout(table, readout)
    drawn = volcano_panels(table, name, _controls(table, controls))
    if not drawn[name]["z"].notna().any():
        raise ValueError(
            f"no gene of the readout {name!r} has a null: too few cells are affected, or too few "
            "genes were computed; lower min_cells of gft.tl.perturb, or give more cells"
        )
    with canvas(len(drawn), ax, (5.0, 4.4), show=show, save=save, columns=3) as panels:
        draw_volcanoes(panels, [drawn], fdr=fdr, num_labels=num_labels)
    return shown(panels, show=show)


def perturbation_clusters(
    adata: "anndata.AnnData",
    readout: str | None = None,
    genes: str | Sequence[str] | None = None,
    *,
    num_genes: int = 12,
    min_cells: int = LEAST_CELLS,
    key: str = PERTURBATION,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the effects of genes in each cluster, as a heat map.

    Args:
        adata: Cells after `gft.tl.perturb` with a `cluster_key`.
        readout: Which one; by default the first of the table.
        genes: Symbols (or combinations such as `A+B`) to draw; by default those with the smallest
            p-values, then the largest `|z|`.
        num_genes: Genes to draw where none are named.
        min_cells: Affected cells of a cluster, at least, for its effect to be shown.
        key: Where the table is, in uns.
        ax: Axes to draw on.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes; None with `show`.

    Raises:
        KeyError: There is no table, no such readout, or no such gene in it.
        ValueError: There were no clusters, or `ax` is several Axes.

    Example:
        >>> gft.pl.perturbation_clusters(adata)
    """
    table, parts = perturbation_table(adata, key), cluster_effects(adata, key)
    name = _readout(table, readout)
    wanted = _genes(table, name, genes, num_genes)
    effects, cells, clusters = effects_in_clusters(parts, name, wanted)
    size = 2.6 + 0.75 * len(clusters), 1.4 + 0.32 * len(wanted)
    with canvas(1, ax, size, show=show, save=save) as panels:
        draw_cluster_effects(
            panels[0], effects, cells, wanted, clusters, title=name, min_cells=min_cells
        )
    return shown(panels, show=show)


def perturbation_fates(
    adata: "anndata.AnnData",
    genes: str | Sequence[str] | None = None,
    *,
    num_genes: int = 4,
    palette: Palette | None = None,
    key: str = PERTURBATION,
    fates_key: str = FATES,
    ncols: int = 4,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the fates of the affected cells before and after an edit, with changes in per cent.

    Before are the mean fate probabilities of the cells in which the edit does something, but for
    those that reach no terminal state; after is this and the mean one-step effect in the same
    cells.

    Args:
        adata: Cells after `gft.tl.perturb` with `with_cells=True`.
        genes: Symbols (or combinations such as `A+B`); by default those with the smallest p-values
            of the first readout that change cells with fates.
        num_genes: Genes to draw where none are named.
        palette: Colours of fates: a mapping, a list, or a colour map.
        key: Where the effects are, in obsm and uns.
        fates_key: Where the probabilities are, in obsm.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each gene.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There are no fates, no effects in cells, or no such gene in them.
        ValueError: A gene changes no cell with fates, or `ax` has another number of Axes.

    Example:
        >>> gft.pl.perturbation_fates(adata)
    """
    table, fates = perturbation_table(adata, key), fate_table(adata, fates_key)
    readouts = [str(name) for name in dict.fromkeys(table["readout"])]
    read = [name for name in readouts if name.startswith(FATE)]
    if not read:
        raise KeyError(f"no fate was read; the readouts of uns[{key!r}] are: {', '.join(readouts)}")
    names = chosen_fates(fates, [name.removeprefix(FATE) for name in read])
    wanted = _genes(table, read[0], genes, len(table))
    effects = [effects_in_cells(adata, key, name, wanted) for name in read]
    most = num_genes if genes is None else len(wanted)
    changes = first_fate_changes(wanted, fates[names], effects, most)
    if not changes or (genes is not None and len(changes) < len(wanted)):
        drawn = {change.symbol for change in changes}
        raise ValueError(
            f"genes: no cell that reaches a terminal state (obsm[{fates_key!r}]) is changed by the "
            f"edit of {some_names(gene for gene in wanted if gene not in drawn)}; name genes that "
            "change some"
        )
    colors = label_colors(adata, key_of_labels(adata, names), names, palette)
    size = 3.4, 1.1 + 0.42 * len(names)
    with canvas(len(changes), ax, size, show=show, save=save, columns=ncols) as panels:
        for number, (axes, change) in enumerate(zip(panels, changes, strict=True)):
            change.draw(axes, names, [colors[name] for name in names])
            if ax is None and number % ncols:
                axes.tick_params(labelleft=False)
    return shown(panels, show=show)


def perturbation_trends(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    along: str,
    genes: str | Sequence[str] | None = None,
    *,
    readout: str | None = None,
    fate: str | Sequence[str] = (),
    num_genes: int = 8,
    layer: str | None = None,
    use_raw: bool = False,
    palette: Palette | None = None,
    key: str = PERTURBATION,
    fates_key: str = FATES,
    ncols: int = 4,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw the rank of genes along the trajectory, as the model reads it.

    The normalised rank is 1 for a cell's first gene and falls evenly to 0 after the last one that
    the model reads, and is 0 where it reads none. Means over stretches of cells, with intervals of
    95 % over cells.

    Args:
        adata: Cells after `gft.tl.perturb`, with raw counts.
        model: The model, or the path of its checkpoint: it has the medians that ranks are by.
        along: Column of obs with a pseudotime or time, in numbers.
        genes: Symbols of single genes; by default those with the smallest p-values.
        readout: Where the default genes are from; the first of the table by default.
        fate: Fates to compare: each is a curve in which cells count by their probability of it. By
            default all cells count alike.
        num_genes: Genes to draw where none are named.
        layer: Layer with the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        palette: Colours of fates: a mapping, a list, or a colour map.
        key: Where the table is, in uns.
        fates_key: Where the probabilities are, in obsm.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each gene.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There is no table, or no such readout, gene, fate, column or layer.
        ValueError: `along` holds no numbers, or `ax` has another number of Axes.

    Example:
        >>> gft.pl.perturbation_trends(adata, checkpoint, along="pseudotime")
    """
    table = perturbation_table(adata, key)
    name = _readout(table, readout)
    wanted = _genes(table, name, genes, num_genes, single=True)
    place = numbers_along(adata, along)
    followed, colors = {_ALL_CELLS: (place, np.ones(adata.n_obs))}, {_ALL_CELLS: MODEL}
    if fates := [fate] if isinstance(fate, str) else list(fate):
        probabilities = fate_table(adata, fates_key)
        chosen_fates(probabilities, fates)
        followed = {one: (place, probabilities[one].to_numpy(dtype=np.float64)) for one in fates}
        colors = label_colors(adata, key_of_labels(adata, fates), fates, palette)
    used = trained_model(model)
    id_of = dict(zip(table["symbol"].astype(str), table["target"].astype(str), strict=True))
    source = anndata_source(adata, layer, use_raw=use_raw, round_counts=False, options=BY_LAYER)
    ranks = ranks_in_cells(used, source, [id_of[gene] for gene in wanted])
    with canvas(len(wanted), ax, (3.3, 2.5), show=show, save=save, columns=ncols) as panels:
        draw_trends(
            panels, ranks, followed, colors, wanted, xlabel=along, ylabel="normalised rank",
            columns=ncols, are_given=ax is not None, legend="fate" if fates else None,
        )  # fmt: skip
    return shown(panels, show=show)


def _readout(table: pd.DataFrame, name: str | None) -> str:
    held = [str(one) for one in dict.fromkeys(table["readout"])]
    if name is not None and name not in held:
        raise KeyError(f"readout: there is no {name!r}; the table has: {', '.join(held)}")
    return held[0] if name is None else name


def _controls(table: pd.DataFrame, names: Sequence[str] | None) -> list[str]:
    held = controls_of(table)
    wanted = held if names is None else [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in held]
    if unknown:
        raise KeyError(
            f"controls: there is no {', '.join(map(repr, unknown))}; the table has: "
            f"{', '.join(held) or 'none'}"
        )
    return wanted


def _genes(
    table: pd.DataFrame,
    readout: str,
    genes: str | Sequence[str] | None,
    number: int,
    *,
    single: bool = False,
) -> list[str]:
    """The symbols that are asked for, or those with the smallest p-values and largest `|z|`."""
    own = rows_of(table, readout)
    if single:
        own = own[~own["target"].astype(str).str.contains("+", regex=False)]
    held = own["symbol"].astype(str).to_list()
    if genes is None:
        return first_symbols(own, number)
    wanted = [genes] if isinstance(genes, str) else list(genes)
    unknown = [gene for gene in wanted if gene not in held]
    if unknown:
        raise KeyError(
            f"genes: {', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} not "
            f"among the {len(held):,} that were perturbed, such as {', '.join(held[:3])}"
        )
    return wanted
