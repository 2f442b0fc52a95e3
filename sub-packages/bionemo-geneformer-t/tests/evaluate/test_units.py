import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.units import Units, effective_number


@pytest.fixture
def pairs(split_of):
    """0 -> 1, 2, 3 (6 : 3 : 1); 1 -> 3; 4 -> 2, 3 (1 : 1)."""
    edges = {0: {1: 6.0, 2: 3.0, 3: 1.0}, 1: {3: 1.0}, 4: {2: 1.0, 3: 1.0}}
    return split_of([[5]] * 5, edges)


def test_the_effective_number_is_that_of_kish() -> None:
    assert effective_number(np.ones(7)) == pytest.approx(7)
    assert effective_number(np.array([3.0, 1.0, 0.0])) == pytest.approx(16 / 10)
    assert effective_number(np.zeros(3)) == 0


def test_next_cells_count_by_the_current_cells_they_serve(pairs) -> None:
    units = Units.of(pairs)
    shares = np.array([0.6, 0.3 + 0.5, 0.1 + 1.0 + 0.5])
    assert units.num_next_cells == 3
    assert units.effective_cells == pytest.approx((3, shares.sum() ** 2 / (shares**2).sum()))


@pytest.mark.parametrize("donors", [None, np.array(["a", "b", "b", "a", "a"])])
def test_without_a_part_its_weight_goes_to_the_other_successors(pairs, donors) -> None:
    """Each unit left out by hand: its pairs are gone, the others keep their proportions."""
    level = Units.of(pairs, donors).levels[-1]
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    labels = np.arange(5).astype(str) if donors is None else donors
    totals = level.sums(values[:, None])
    found = level.without_parts(totals, values[:, None])[:, 0]
    cells = pairs.cells
    for part, (cell, weight) in enumerate(zip(level.parts.cells, level.parts.weights, strict=True)):
        mine = pairs.current == cells[cell]
        gone = level.parts.gathering[[part]].toarray()[0] > 0
        rest = mine & ~gone
        assert weight == pytest.approx(pairs.weights[gone].sum())
        assert len(set(labels[pairs.following[gone]])) == 1
        assert labels[cells[cell]] not in labels[pairs.following[gone]]
        if rest.any():
            share = pairs.weights[rest] / pairs.weights[rest].sum()
            assert found[part] == pytest.approx(share @ values[rest])
        else:
            assert weight == pytest.approx(1)


def test_a_unit_takes_its_current_cells_along_and_cells_without_another_successor(pairs) -> None:
    level = Units.of(pairs).levels[0]
    ones = np.ones((3, 1))
    changes = level.changes(ones, np.ones((len(level.parts.cells), 1)))
    number = dict(zip(np.unique([*pairs.current, *pairs.following]), changes[:, 0], strict=True))
    # 3 is the only successor of 1; 2 has no current cell that needs it
    assert number == {0: -1, 1: -1, 2: 0, 3: -1, 4: -1}


@pytest.mark.parametrize("weights", [np.ones(4), np.array([4.0, 2.0, 1.0, 1.0])])
def test_squared_changes_are_unbiased_for_what_next_cells_add_to_the_variance(
    split_of, weights
) -> None:
    """One current cell: its mean over independent successors varies by sum of w^2."""
    pairs = split_of([[5]] * 5, {0: dict(enumerate(weights.tolist(), start=1))})
    level, rng = Units.of(pairs).levels[0], np.random.default_rng(0)
    squares = []
    for _ in range(2000):
        values = rng.normal(size=(4, 1))
        totals = level.sums(values)
        changes = level.changes(totals, level.without_parts(totals, values))
        squares.append((changes[1:] ** 2).sum())
    assert np.mean(squares) == pytest.approx((pairs.weights**2).sum(), rel=0.06)


def test_donors_are_units_where_there_are_several(pairs) -> None:
    one, two = (Units.of(pairs, np.array(names)) for names in (["a"] * 5, ["a", "b"] * 2 + ["a"]))
    assert (one.num_donors, len(one.levels), one.effective_donors) == (1, 1, None)
    assert (two.num_donors, len(two.levels)) == (2, 2)
    assert Units.of(pairs).num_donors is None


def test_some_cells_have_units_of_their_own(pairs) -> None:
    donors = np.array(["a", "b", "a", "b", "b"])
    some = Units.of(pairs, donors).only(np.array([True, False, True]))
    kept = pairs.keep(pairs.current != 1)
    whole = Units.of(kept, donors)
    for mine, theirs in zip(some.levels, whole.levels, strict=True):
        assert mine.effective() == pytest.approx(theirs.effective())
        assert mine.current.tolist() == theirs.current.tolist()
        assert mine.parts.weights == pytest.approx(theirs.parts.weights)
    assert some.num_next_cells == whole.num_next_cells == 3
