import json
import re

import numpy as np

from bionemo.geneformer_t.report.explore.bokeh_map import ASPECT, bokeh_map, map_scripts

PLACES = np.array([[0.0, 0.0], [10.0, 1.0], [4.0, 0.5]])


def limits(document: dict) -> list[tuple[float, float]]:
    plot = document["doc"]["roots"][0]["attributes"]
    found = [plot[axis]["attributes"] for axis in ("x_range", "y_range")]
    return [(one["start"], one["end"]) for one in found]


def test_all_cells_are_within_the_map_and_a_unit_is_as_long_both_ways() -> None:
    (left, right), (bottom, top) = limits(bokeh_map(PLACES, is_equal=True))
    assert left < 0
    assert right > 10
    assert bottom < 0
    assert top > 1
    np.testing.assert_allclose((right - left) / (top - bottom), ASPECT)


def test_axes_without_a_unit_are_filled() -> None:
    (left, right), (bottom, top) = limits(bokeh_map(PLACES, is_equal=False))
    np.testing.assert_allclose((right - left) / (top - bottom), 10)


def test_a_single_place_has_a_map() -> None:
    for is_equal in (True, False):
        assert all(low < high for low, high in limits(bokeh_map(PLACES[:1], is_equal=is_equal)))


def test_the_same_cells_give_the_same_document() -> None:
    one, other = (json.dumps(bokeh_map(PLACES, is_equal=True)) for _ in range(2))
    assert one == other


def test_scripts_cannot_end_their_elements_and_carry_a_licence() -> None:
    bokeh, own = map_scripts()
    for script in (bokeh, own):
        assert not re.search(r"</script|<!--", script, re.IGNORECASE)
        assert "\r" not in script  # a browser would hash it as a newline
    assert "Redistribution and use in source and binary forms" in bokeh
    assert len(bokeh) < 1_500_000
