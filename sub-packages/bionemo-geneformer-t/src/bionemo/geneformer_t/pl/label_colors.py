"""Labels of cells and their colours: `uns["KEY_colors"]` as scanpy keeps them, or a palette."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.colors import is_color_like, to_hex
from numpy import ndarray

from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.report.figures.cell_arrows import by_number
from bionemo.geneformer_t.report.figures.style import colors_among

if TYPE_CHECKING:
    import anndata

Palette = str | Sequence[str] | Mapping[str, str]


def categories(adata: "anndata.AnnData", key: str | None, setting: str) -> "pd.Categorical[Any]":
    """A column of obs as labels of text, in the order of its categories; unused ones are left out.

    Raises:
        ValueError: The setting is empty, or no cell has a label.
        KeyError: No such column.
    """
    column = obs_column(adata.obs, key, setting)
    texts = column.astype(object).map(str, na_action="ignore")
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = [str(name) for name in column.cat.remove_unused_categories().cat.categories]
        is_ordered = bool(column.cat.ordered)
    else:
        names = sorted(texts.dropna().unique(), key=by_number)
        is_ordered = False
    if not names:
        raise ValueError(f"{setting}: no cell has a label in obs[{key!r}]")
    return pd.Categorical(texts, categories=list(dict.fromkeys(names)), ordered=is_ordered)


def numbers_along(adata: "anndata.AnnData", along: str) -> Float[ndarray, " cell"]:
    """The column of obs that a horizontal axis is made of.

    Raises:
        KeyError: There is no such column.
        ValueError: It holds no numbers.
    """
    column = obs_column(adata.obs, along, "along")
    if not is_numeric(adata, along):
        raise ValueError(f"along: obs[{along!r}] must hold numbers; it holds {column.dtype}")
    found: Float[ndarray, " cell"] = column.to_numpy(dtype=np.float64)
    return found


def is_numeric(adata: "anndata.AnnData", key: str) -> bool:
    """Whether a column of obs holds numbers, which are drawn with a colour bar."""
    column = obs_column(adata.obs, key, "color")
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def label_colors(
    adata: "anndata.AnnData", key: str | None, names: Sequence[str], palette: Palette | None
) -> dict[str, str]:
    """The colour of each name.

    Args:
        adata: Its `uns["KEY_colors"]` are used where they are one for each category of `obs[KEY]`;
            else names that are categories of this column have the colours that these have in
            every picture, whichever of them are drawn.
        key: The column that the names are of; None where there is none.
        names: Labels, in their order.
        palette: Instead: a colour for each name, a list of colours, or the name of a colour map.

    Raises:
        KeyError: The palette has no colour for a name.
        ValueError: It has too few colours, or one that is none.
    """
    if palette is not None:
        return _of_palette(palette, names)
    stored = _stored(adata, key)
    labels = [] if key is None else list(categories(adata, key, "key").categories)
    default = colors_among(names, labels)
    return {name: stored.get(name, default[name]) for name in names}


def key_of_labels(adata: "anndata.AnnData", names: Sequence[str]) -> str | None:
    """The first column of obs with colours in uns that has all the names as categories."""
    for key in adata.obs.columns:
        if set(names) <= set(_stored(adata, str(key))):
            return str(key)
    return None


def _stored(adata: "anndata.AnnData", key: str | None) -> dict[str, str]:
    held = None if key is None else adata.uns.get(f"{key}_colors")
    if held is None or key not in adata.obs:
        return {}
    column = adata.obs[key]
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return {}
    colors, names = [str(color) for color in np.asarray(held)], column.cat.categories
    if len(colors) < len(names) or not all(map(is_color_like, colors)):
        return {}
    return {str(name): to_hex(color) for name, color in zip(names, colors, strict=False)}


def _of_palette(palette: Palette, names: Sequence[str]) -> dict[str, str]:
    if isinstance(palette, Mapping):
        missing = [name for name in names if name not in palette]
        if missing:
            raise KeyError(f"palette has no colour for {', '.join(missing)}")
        chosen: list[Any] = [palette[name] for name in names]
    elif isinstance(palette, str):
        chosen = _of_map(palette, len(names))
    else:
        chosen = list(palette)[: len(names)]
        if len(chosen) < len(names):
            raise ValueError(f"palette has {len(chosen)} colours for {len(names)} labels")
    wrong = [color for color in chosen if not is_color_like(color)]
    if wrong:
        raise ValueError(f"palette: {wrong[0]!r} is no colour of Matplotlib")
    return {name: to_hex(color) for name, color in zip(names, chosen, strict=True)}


def _of_map(name: str, number: int) -> list[Any]:
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(f"palette: {name!r} is no colour map of Matplotlib")
    colors = colormaps[name]
    if hasattr(colors, "colors") and colors.N < 256:
        if number > colors.N:
            raise ValueError(f"palette: {name!r} has {colors.N} colours for {number} labels")
        return [colors(i) for i in range(number)]
    return [colors(place) for place in np.linspace(0, 1, number)]
