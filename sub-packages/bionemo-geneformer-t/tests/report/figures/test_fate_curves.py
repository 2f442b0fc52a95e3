import numpy as np

from bionemo.geneformer_t.report.figures.fate_curves import draw_curves, weighted_curve
from bionemo.geneformer_t.report.figures.style import new_figure


def test_means_are_weighted_and_cells_without_a_value_are_left_out() -> None:
    place = np.repeat([0.0, 1.0, np.nan], 4)
    values = np.array([1, 2, 3, 4, 5, 6, 7, np.nan, 9, 9, 9, 9])
    weights = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1], dtype=float)
    curve = weighted_curve(place, values, weights)
    np.testing.assert_allclose(curve.place, [0, 1])
    np.testing.assert_allclose(curve.mean, [2, 6])
    # three cells of weight 1: t(2) * sqrt(2 / 9)
    np.testing.assert_allclose(curve.half, 4.302653 * np.sqrt(2) / 3, rtol=1e-6)
    assert curve.limits == (1, 7)


def test_places_with_fewer_than_three_cells_by_weight_are_left_out() -> None:
    place = np.repeat([0.0, 1.0], 100)
    weights = np.repeat([0.02, 0.04], 100)
    curve = weighted_curve(place, np.ones(200), weights)
    np.testing.assert_allclose(curve.place, [1])


def test_places_that_are_hardly_apart_are_merged() -> None:
    place = np.concatenate([0.5 + 1e-4 * np.arange(200), [0.0] * 20, [1.0] * 20])
    curve = weighted_curve(place, place, np.ones(240))
    assert len(curve.place) <= 4
    assert np.diff(curve.place).min() > 0.03


def test_of_no_cells_there_is_no_curve() -> None:
    none = np.zeros(0)
    assert len(weighted_curve(none, none, none).place) == 0
    assert len(weighted_curve(np.full(3, np.nan), np.ones(3), np.ones(3)).place) == 0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        weights = rng.uniform(0.05, 1, 60)
        curve = weighted_curve(np.zeros(60), rng.exponential(size=60), weights)
        held.append(abs(curve.mean[0] - 1) <= curve.half[0])
    assert 0.88 < np.mean(held) < 0.98


def test_bands_end_where_values_do() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(60) < 0.1).astype(float)
    axes = new_figure().subplots()
    draw_curves(axes, {"a": weighted_curve(np.zeros(60), values, np.ones(60))}, {"a": "red"}, "G")
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() >= 0
    assert axes.get_title(loc="left") == "G"
