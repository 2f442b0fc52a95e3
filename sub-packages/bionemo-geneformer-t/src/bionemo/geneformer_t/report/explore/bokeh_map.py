"""The map as a Bokeh document without cells, and the scripts that fill and draw it.

Cells are put in by `templates/explore_map.js`, which has them in a smaller form than Bokeh's.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cell_arrows import dot_size

ASPECT = 4 / 3
"""Width over height of the map."""
Limits = tuple[tuple[float, float], tuple[float, float]]
"""Of both axes."""
_MARGIN = 0.04
_SCRIPTS = ("explore_data.js", "explore_map.js", "explore_panel.js")
_ID = re.compile(r"p\d+")


def bokeh_map(coordinates: Float[ndarray, "cell 2"], *, is_equal: bool) -> dict[str, Any]:
    """What `Bokeh.embed.embed_item` draws: the same values give the same document.

    Args:
        coordinates: The places of the cells, which the map has to hold.
        is_equal: One unit is as long in both directions.
    """
    from bokeh.embed import json_item

    return _with_repeatable_ids(
        dict(json_item(_plot(len(coordinates), _limits(coordinates, is_equal=is_equal))))
    )


def _plot(num_cells: int, limits: Limits) -> Any:
    from bokeh.models import (
        Arrow,
        BooleanFilter,
        CDSView,
        ColumnDataSource,
        HoverTool,
        PanTool,
        Plot,
        Range1d,
        Scatter,
        TapTool,
        VeeHead,
        WheelZoomTool,
    )

    (left, right), (bottom, top) = limits
    cells = ColumnDataSource({"x": [], "y": [], "color": [], "name": [], "told": []}, name="cells")
    ringed = ColumnDataSource({"x": [], "y": []}, name="ringed")
    plot = Plot(
        name="map", x_range=Range1d(left, right), y_range=Range1d(bottom, top),
        toolbar_location=None, sizing_mode="scale_width", aspect_ratio=ASPECT, min_border=0,
        outline_line_color=None, background_fill_color=None, border_fill_color=None,
    )  # fmt: skip
    dots = Scatter(
        x="x", y="y", fill_color="color", line_color=None, fill_alpha=0.75,
        size=float(np.sqrt(dot_size(num_cells))) * 1.5,
    )  # fmt: skip
    shown = plot.add_glyph(
        cells, dots, view=CDSView(filter=BooleanFilter(name="shown")), nonselection_glyph=None
    )
    ring = Scatter(x="x", y="y", size=16, fill_color=None, line_width=2.5, name="ring")
    plot.add_glyph(ringed, ring)
    for name, width in (("mean", 1.5), ("true", 2.5), ("predicted", 2.5)):
        ends = ColumnDataSource({"x": [], "y": [], "to_x": [], "to_y": []}, name=f"{name} arrows")
        head = VeeHead(size=9, line_width=0, name=f"{name} head")
        plot.add_layout(
            Arrow(
                source=ends, x_start="x", y_start="y", x_end="to_x", y_end="to_y", end=head,
                line_width=width, name=f"{name} line",
            )
        )  # fmt: skip
    hover = HoverTool(renderers=[shown], tooltips=[("cell", "@name"), ("", "@told")])
    wheel = WheelZoomTool(modifiers={"ctrl": True})
    plot.add_tools(PanTool(), wheel, hover, TapTool(renderers=[shown]))
    plot.toolbar.active_scroll = wheel
    return plot


def _limits(coordinates: Float[ndarray, "cell 2"], *, is_equal: bool) -> Limits:
    """From where to where the axes go."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    middle, half = (low + high) / 2, np.maximum(high - low, 1e-9) * (0.5 + _MARGIN)
    if is_equal:
        height = max(half[1], half[0] / ASPECT)
        half = np.array([height * ASPECT, height])
    (left, bottom), (right, top) = (middle - half).tolist(), (middle + half).tolist()
    return (left, right), (bottom, top)


def _with_repeatable_ids(document: dict[str, Any]) -> dict[str, Any]:
    """Bokeh counts the models of a process; here those of a document are counted."""
    numbers: dict[str, str] = {}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(held) for key, held in value.items()}
        if isinstance(value, list):
            return [renamed(held) for held in value]
        if isinstance(value, str) and _ID.fullmatch(value):
            return numbers.setdefault(value, f"p{len(numbers)}")
        return value

    found: dict[str, Any] = renamed(document)
    return found


@cache
def map_scripts() -> tuple[str, ...]:
    """Bokeh's own script, and ours."""
    from bokeh.settings import settings

    templates = files("bionemo.geneformer_t.report") / "templates"
    own = "".join((templates / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    bokeh = settings.bokehjs_path() / "js" / "bokeh.min.js"
    return bokeh.read_text(encoding="utf-8"), f"{{\n{own}}}\n"
