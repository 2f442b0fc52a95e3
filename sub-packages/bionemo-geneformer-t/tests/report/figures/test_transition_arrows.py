import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.quiver import Quiver

from bionemo.geneformer_t.report.figures import transition_arrows
from bionemo.geneformer_t.report.figures.cell_arrows import GRID
from bionemo.geneformer_t.report.figures.style import new_figure
from bionemo.geneformer_t.report.figures.transition_arrows import (
    Moves,
    draw_transition_arrows,
    expected_moves,
    moves_by_density,
    transition_moves,
)

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(size=(300, 2)) ** [2, 1]  # denser toward the left
ALL = np.arange(len(POINTS))
DISTANCES = np.linalg.norm(POINTS[:, None] - POINTS, axis=-1)


def to_nearest(number: int) -> sp.csr_array:
    """A chain without direction: each of the nearest cells is as probable."""
    near = np.argsort(DISTANCES, axis=1)[:, 1 : number + 1]
    rows = np.repeat(ALL, number)
    return sp.csr_array((np.full(rows.size, 1 / number), (rows, near.ravel())), shape=(300, 300))


def test_expected_moves_and_lengths_are_means_over_transitions() -> None:
    dense = RNG.random((300, 300)) * (RNG.random((300, 300)) < 0.1)
    dense /= dense.sum(axis=1, keepdims=True)
    some = np.array([3, 7, 200])
    moves, lengths = expected_moves(sp.csr_array(dense), POINTS, some)
    for cell, move, length in zip(some, moves, lengths, strict=True):
        np.testing.assert_allclose(move, dense[cell] @ (POINTS - POINTS[cell]))
        assert length == pytest.approx(dense[cell] @ DISTANCES[cell])


@pytest.mark.parametrize("number", [10, 40, 299])
def test_of_a_chain_without_direction_nothing_is_left(number) -> None:
    raw, lengths = expected_moves(to_nearest(number), POINTS, ALL)
    assert np.linalg.norm(raw, axis=1).mean() > 0.1 * lengths.mean()
    moves = transition_moves(to_nearest(number), POINTS, RNG).moves
    np.testing.assert_allclose(moves, 0, atol=1e-12)


def test_without_the_correction_such_a_chain_seems_to_leave_the_edge() -> None:
    moves = transition_moves(to_nearest(40), POINTS, RNG, beyond_density=False).moves
    top = POINTS[:, 1] > 0.95
    assert (moves[top, 1] < 0).mean() > 0.9


def test_what_density_does_is_the_mean_over_as_many_of_the_nearest() -> None:
    lengths = np.array([0.05, 0.2, 0.4])
    cells = np.array([0, 100, 200])
    moves = moves_by_density(POINTS, cells, lengths, ALL)
    for cell, length, move in zip(cells, lengths, moves, strict=True):
        order = np.argsort(DISTANCES[cell])[1:]
        number = max(n for n in range(1, 300) if DISTANCES[cell, order[:n]].mean() <= length)
        assert number >= 10 or length == 0.05
        mean = (POINTS[order[: max(number, 10)]] - POINTS[cell]).mean(axis=0)
        scale = min(1, length / DISTANCES[cell, order[: max(number, 10)]].mean())
        np.testing.assert_allclose(move, scale * mean)


def test_blocks_of_cells_change_nothing(monkeypatch) -> None:
    lengths = np.full(300, 0.2)
    whole = moves_by_density(POINTS, ALL, lengths, ALL)
    monkeypatch.setattr(transition_arrows, "_AT_ONCE", 7)
    np.testing.assert_array_equal(moves_by_density(POINTS, ALL, lengths, ALL), whole)


def test_a_direction_survives_the_correction() -> None:
    """Cells that go to those of their nearest that are further right still do."""
    near = to_nearest(30).tocoo()
    ahead = POINTS[near.col, 0] > POINTS[near.row, 0]
    matrix = sp.csr_array((near.data * (0.05 + ahead), (near.row, near.col)), shape=near.shape)
    matrix = sp.csr_array(sp.diags_array(1 / matrix.sum(axis=1)) @ matrix)
    moves = transition_moves(matrix, POINTS, RNG).moves
    inner = (POINTS[:, 0] < 0.9) & (POINTS[:, 0] > 0.01)
    assert (moves[inner, 0] > 0).mean() > 0.97
    assert np.abs(moves[inner, 1]).mean() < 0.4 * moves[inner, 0].mean()


def test_of_many_cells_samples_are_taken(monkeypatch) -> None:
    monkeypatch.setattr(transition_arrows, "MOST_CELLS", 50)
    monkeypatch.setattr(transition_arrows, "_MOST_OTHERS", 150)
    found = transition_moves(to_nearest(40), POINTS, np.random.default_rng(0))
    assert len(found.cells) == 50
    raw, _ = expected_moves(to_nearest(40), POINTS, found.cells)
    assert np.linalg.norm(found.moves, axis=1).mean() < 0.5 * np.linalg.norm(raw, axis=1).mean()


def test_no_arrow_is_longer_than_two_places_of_the_grid() -> None:
    """A few cells that jump across the map do not cover it."""
    moves = np.zeros((300, 2))
    moves[:, 0] = np.where(POINTS[:, 1] > 0.9, 50.0, 0.02)
    lengths, label = drawn_lengths(Moves(cells=ALL, moves=moves, lengths=np.abs(moves[:, 0])))
    assert lengths.max() <= 2.0001
    assert "300 cells" in label


def drawn_lengths(found: Moves) -> tuple[np.ndarray, str]:
    """How long arrows are drawn, in places of the grid, and what is said of them."""
    axes = new_figure().subplots()
    draw_transition_arrows(axes, POINTS, found, "UMAP")
    arrows = next(drawn for drawn in axes.collections if isinstance(drawn, Quiver))
    spacing = np.ptp(POINTS, axis=0).max() / GRID
    return np.hypot(arrows.U, arrows.V) / arrows.scale / spacing, axes.get_xlabel()


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_steps_that_agree_have_long_arrows_however_long_they_are(length) -> None:
    moves = np.tile([length, 0.0], (300, 1))
    lengths, label = drawn_lengths(Moves(cells=ALL, moves=moves, lengths=np.full(300, length)))
    np.testing.assert_allclose(lengths, 1.2)
    assert "times their length" in label


def test_steps_that_cancel_have_short_arrows_or_none() -> None:
    moves = np.random.default_rng(0).normal(size=(300, 2)) * 0.02
    lengths, _ = drawn_lengths(Moves(cells=ALL, moves=moves, lengths=np.ones(300)))
    assert len(lengths) == 0


def test_where_no_cell_moves_it_is_said() -> None:
    axes = new_figure().subplots()
    stays = transition_moves(sp.eye_array(300, format="csr"), POINTS, RNG)
    draw_transition_arrows(axes, POINTS, stays, "UMAP")
    assert axes.get_xlabel() == "UMAP; no cell moves"
    assert not axes.collections
