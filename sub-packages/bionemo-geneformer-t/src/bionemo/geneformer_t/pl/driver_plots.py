"""`gft.pl.drivers` and `driver_trends`: the genes that `gft.tl.drivers` has found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bionemo.geneformer_t.false_discoveries import FDR
from bionemo.geneformer_t.pl.canvas import canvas, shown
from bionemo.geneformer_t.pl.gene_values import gene_values
from bionemo.geneformer_t.pl.label_colors import (
    Palette,
    key_of_labels,
    label_colors,
    numbers_along,
)
from bionemo.geneformer_t.pl.stored import (
    DRIVERS,
    FATES,
    chosen_fates,
    driver_table,
    fate_table,
)
from bionemo.geneformer_t.pl.trend_panels import draw_trends
from bionemo.geneformer_t.report.figures.volcano import (
    draw_drivers,
    drivers_of,
    order_of_drivers,
)

if TYPE_CHECKING:
    import anndata


def drivers(
    adata: "anndata.AnnData",
    fate: str | Sequence[str] | None = None,
    *,
    fdr: float = FDR,
    num_labels: int = 12,
    key: str = DRIVERS,
    ncols: int = 3,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw driver genes: effect against p-value, with the smallest p-value that there can be.

    Where there are no p-values, because the units are too few, the largest effects are drawn.

    Args:
        adata: Cells after `gft.tl.drivers`.
        fate: One fate or several, a panel each; by default all of the table.
        fdr: False discovery rate below which a gene is coloured and may be named.
        num_labels: Genes to name in a panel, those with the smallest p-values and then the largest
            effects; names that find no room are left out.
        key: Where the table is, in uns.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each panel.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There are no drivers, or none of this fate.
        ValueError: The table lacks columns, or `ax` has another number of Axes.

    Example:
        >>> gft.pl.drivers(adata, "B")
    """
    table = driver_table(adata, key)
    wanted = _wanted(table, fate)
    with canvas(len(wanted), ax, (5.2, 4.4), show=show, save=save, columns=ncols) as panels:
        for axes, name in zip(panels, wanted, strict=True):
            draw_drivers(axes, table, name, num_labels=num_labels, fdr=fdr)
    return shown(panels, show=show)


def driver_trends(
    adata: "anndata.AnnData",
    fate: str | Sequence[str],
    genes: str | Sequence[str] | None = None,
    *,
    along: str | None = None,
    num_genes: int = 8,
    layer: str | None = None,
    use_raw: bool = False,
    palette: Palette | None = None,
    key: str = FATES,
    drivers_key: str = DRIVERS,
    ncols: int = 4,
    ax: Any = None,
    show: bool = False,
    save: Path | str | None = None,
) -> Any:
    """Draw genes on the way to fates: means over stretches of cells, with intervals of 95 %.

    Args:
        adata: Cells after `gft.tl.fates`, with expression.
        fate: One fate, or several to compare, each a curve.
        genes: One or several names of `var`, ids or symbols; by default the first drivers of the
            first fate.
        along: Column of obs with numbers, such as a pseudotime or `fate_steps`: every cell counts
            by its probability of the fate. By default the horizontal axis is the probability of the
            fate itself, and cells count alike.
        num_genes: Drivers to draw where no genes are named.
        layer: Layer with the expression; X by default.
        use_raw: Take expression and genes from `raw`. Raw counts are shown as log(1 + counts per
            10,000), other values as they are.
        palette: Colours of fates: a mapping, a list, or a colour map.
        key: Where the probabilities are, in obsm.
        drivers_key: Where the table of drivers is, in uns.
        ncols: Panels beside each other.
        ax: Axes to draw on, one for each gene.
        show: Show the figure and return nothing.
        save: File to write; its ending chooses the format.

    Returns:
        The Axes, a list where there are several panels; None with `show`.

    Raises:
        KeyError: There are no fates or drivers, or no such fate, gene, column or layer.
        ValueError: A symbol stands for several genes, `along` holds no numbers, or `ax` has another
            number of Axes.

    Example:
        >>> gft.pl.driver_trends(adata, ["B", "A1"], ["GENE1", "GENE2"], along="pseudotime")
    """
    table = fate_table(adata, key)
    wanted = chosen_fates(table, [fate] if isinstance(fate, str) else list(fate))
    if isinstance(genes, str):
        genes = [genes]
    names = list(genes) if genes is not None else _top(adata, wanted[0], num_genes, drivers_key)
    values, unit = gene_values(adata, names, layer, use_raw=use_raw)
    titles = _titles(adata, names, drivers_key)
    probabilities = table[wanted].to_numpy(dtype=np.float64)
    place = None if along is None else numbers_along(adata, along)
    palette_of = label_colors(adata, key_of_labels(adata, wanted), wanted, palette)
    followed = {
        name: (own, np.ones(len(own))) if place is None else (place, own)
        for name, own in zip(wanted, probabilities.T, strict=True)
    }
    with canvas(len(names), ax, (3.3, 2.5), show=show, save=save, columns=ncols) as panels:
        draw_trends(
            panels, values, followed, palette_of, titles,
            xlabel="fate probability" if along is None else along, ylabel=unit, columns=ncols,
            are_given=ax is not None,
        )  # fmt: skip
    return shown(panels, show=show)


def _wanted(table: pd.DataFrame, fate: str | Sequence[str] | None) -> list[str]:
    held = list(dict.fromkeys(table["fate"].astype(str)))
    if fate is None:
        return held
    names = [fate] if isinstance(fate, str) else list(fate)
    unknown = [name for name in names if name not in held]
    if unknown:
        raise KeyError(
            f"the table of drivers has no fate {', '.join(map(repr, unknown))}; it has: "
            f"{', '.join(held)}"
        )
    return names


def _top(adata: "anndata.AnnData", fate: str, number: int, key: str) -> list[str]:
    found = drivers_of(driver_table(adata, key), fate)
    if not len(found):
        raise KeyError(f"uns[{key!r}] has no drivers of {fate!r}; name genes to draw (genes)")
    return [str(gene) for gene in found["gene"].iloc[order_of_drivers(found)[:number]]]


def _titles(adata: "anndata.AnnData", names: Sequence[str], key: str) -> list[str]:
    """Symbols of genes where the table of drivers knows them."""
    if key not in adata.uns:
        return list(names)
    table = driver_table(adata, key)
    symbols = dict(zip(table["gene"].astype(str), table["symbol"].astype(str), strict=True))
    return [symbols.get(name) or name for name in names]
