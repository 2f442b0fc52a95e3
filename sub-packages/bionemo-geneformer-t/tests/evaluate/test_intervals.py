import math

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import ttest_1samp

from bionemo.geneformer_t.evaluate.intervals import (
    Interval,
    advantage,
    cross_entropy_interval,
    mean_half_widths,
    mean_interval,
    share_intervals,
)
from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums
from bionemo.geneformer_t.evaluate.units import LEAST_DONORS, LEAST_UNITS, Units


def sums_of(units: Units, cross_entropies: np.ndarray, positions: int = 10) -> CellSums:
    """Pairs of equally many positions with the given mean cross-entropies."""
    of_pairs = np.column_stack(
        [np.full(len(cross_entropies), positions), positions * cross_entropies]
    )
    of_cells = units.levels[0].sums(of_pairs)
    return CellSums(
        cells=np.arange(len(of_cells)), positions=of_cells[:, 0], sums=of_cells[:, 1:],
        of_pairs=of_pairs,
    )  # fmt: skip


def successors_among_few(rng, split_of, num_current: int, num_next: int):
    """Current cells along a line, each with the three next cells that lie nearest."""
    here, there = rng.random(num_current), rng.random(num_next)
    near = np.argsort(np.abs(here[:, None] - there), axis=1)[:, :3]
    edges = {i: dict.fromkeys((num_current + near[i]).tolist(), 1.0) for i in range(num_current)}
    return split_of([[5]] * (num_current + num_next), edges)


def test_without_shared_cells_it_is_students_interval() -> None:
    values = np.random.default_rng(0).gamma(2, size=40)
    units = Units.of_cells(np.arange(40))
    theirs = ttest_1samp(values, 0).confidence_interval(0.95)
    mine = mean_interval(values, [np.zeros(0)], units)
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high))
    half = mean_half_widths(values[:, None], None, units)
    assert half == pytest.approx([(theirs.high - theirs.low) / 2])


def test_over_donors_it_is_students_interval_of_their_means() -> None:
    rng, donors = np.random.default_rng(0), np.repeat(np.arange(6), 10)
    values = rng.normal(0, 3, 6)[donors] + rng.normal(0, 0.1, 60)
    units = Units.of_cells(np.arange(60), donors)
    theirs = ttest_1samp(values.reshape(6, 10).mean(axis=1), 0).confidence_interval(0.95)
    mine = mean_interval(values, [np.zeros(0)] * 2, units)
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high))


def test_donors_that_agree_by_chance_leave_the_interval_over_cells() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    values -= values.reshape(6, 10).mean(axis=1).repeat(10)  # every donor has the mean 0
    donors = np.repeat(np.arange(6), 10)
    with_donors = mean_interval(values, [np.zeros(0)] * 2, Units.of_cells(np.arange(60), donors))
    over_cells = mean_interval(values, [np.zeros(0)], Units.of_cells(np.arange(60)))
    assert (with_donors.low, with_donors.high) == (over_cells.low, over_cells.high)


def percentile_bootstrap(sums: CellSums, rng) -> tuple[float, float]:
    """Over current cells alone, as intervals once were."""
    number = len(sums.cells)
    times = rng.multinomial(number, np.full(number, 1 / number), size=200)
    means = (times @ sums.sums[:, 0]) / (times @ sums.positions)
    return tuple(np.quantile(means, [0.025, 0.975]))


@pytest.mark.parametrize("num_next", [76, 30])
@pytest.mark.slow
def test_intervals_hold_the_true_value_where_current_cells_share_next_cells(
    split_of, num_next
) -> None:
    """Current and next cells vary alike; `benchmarks/interval_coverage.py` is the long version."""
    rng, held, before = np.random.default_rng(0), [], []
    pairs = successors_among_few(rng, split_of, 180, num_next)
    units = Units.of(pairs)
    for _ in range(300):
        easy, hard = rng.normal(0, 0.3, 180), rng.normal(0, 0.3, 180 + num_next)
        noise = rng.normal(0, 0.1, (2, pairs.num_pairs))
        loss = 5 + easy[pairs.current] + hard[pairs.following]
        one, other = (sums_of(units, loss + hard[pairs.following] * k + noise[k]) for k in (0, 1))
        found = cross_entropy_interval(one, units)
        gain = advantage(one, other, units)
        held.append([found.low <= 5 <= found.high, gain.low <= 0 <= gain.high])
        low, high = percentile_bootstrap(one, rng)
        before.append(low <= 5 <= high)
    assert (np.mean(held, axis=0) >= 0.93).all()
    assert (np.mean(held, axis=0) <= 0.985).all()
    assert np.mean(before) < 0.85


@pytest.mark.parametrize("number", [3, 5, 10])
@pytest.mark.slow
def test_intervals_hold_the_true_value_over_few_donors(number) -> None:
    rng, held = np.random.default_rng(0), []
    donors = np.repeat(np.arange(number), 20)
    units = Units.of_cells(np.arange(20 * number), donors)
    for _ in range(400):
        values = rng.normal(0, 0.5, number)[donors] + rng.normal(0, 1, len(donors))
        found = mean_interval(values, [np.zeros(0)] * 2, units)
        held.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.99


def test_a_predictor_has_no_advantage_over_itself(random_split) -> None:
    units = Units.of(random_split())
    sums = sums_of(units, np.random.default_rng(0).random(random_split().num_pairs))
    gain = advantage(sums, sums, units)
    assert (gain.mean, gain.low, gain.high, gain.verdict) == (0, 0, 0, "no better")


def test_shares_are_weighted_and_empty_bins_are_not_known(split_of) -> None:
    pairs = split_of([[5]] * 4, {0: {1: 3.0, 2: 1.0}, 1: {3: 1.0}})
    of_pairs = np.zeros((3, 2, 2))
    of_pairs[:, 0] = [[4, 4], [4, 0], [8, 2]]
    first, nothing = share_intervals(of_pairs, Units.of(pairs))
    assert first.mean == pytest.approx((0.75 * 4 + 0.25 * 0 + 2) / (4 + 8))
    assert math.isnan(nothing.mean)


@pytest.mark.parametrize("number", [LEAST_DONORS - 1, LEAST_DONORS])
def test_few_donors_get_no_verdict(number) -> None:
    donors = np.arange(20 * number) % number
    gains = 5 + np.random.default_rng(0).normal(0, 0.01, len(donors))
    found = mean_interval(gains, [np.zeros(0)] * 2, Units.of_cells(np.arange(len(donors)), donors))
    assert found.verdict == ("better" if number == LEAST_DONORS else "too few")
    assert found.low > 4


@pytest.mark.parametrize("number", [LEAST_UNITS - 1, LEAST_UNITS])
def test_few_next_cells_get_no_verdict(split_of, number) -> None:
    pairs = split_of([[5]] * (50 + number), {i: {50 + i % number: 1.0} for i in range(50)})
    units = Units.of(pairs)
    rng = np.random.default_rng(0)
    better, worse = (sums_of(units, level + rng.normal(0, 0.01, 50)) for level in (4, 5))
    assert units.num_next_cells == number
    found = advantage(better, worse, units)
    enough = units.effective_cells[1] >= LEAST_UNITS
    assert found.verdict == ("better" if enough else "too few")
    assert enough == (number == LEAST_UNITS)


def test_scores_that_rest_on_one_cell_have_no_interval(split_of) -> None:
    units = Units.of(split_of([[5]] * 3, {0: {1: 1.0, 2: 1.0}}))
    found = cross_entropy_interval(sums_of(units, np.array([4.0, 6.0])), units)
    assert found.mean == 5
    assert math.isnan(found.low)
    assert found.verdict == "too few"


def test_effective_numbers_count_what_is_scored(split_of) -> None:
    """Genes that are new in the next cells of two current cells rest on two cells, not on 30."""
    pairs = split_of([[5]] * 60, {i: {30 + i: 1.0} for i in range(30)})
    units = Units.of(pairs)
    positions = np.where(np.arange(30) < 2, 5.0, 0.0)
    sums, than = (
        CellSums(
            cells=np.arange(30), positions=positions, sums=(positions * loss)[:, None],
            of_pairs=np.column_stack([positions, positions * loss]),
        )
        for loss in (4.0, 5.0)
    )  # fmt: skip
    assert advantage(sums, than, units).verdict == "too few"


@pytest.mark.parametrize(
    ("low", "high", "is_enough", "verdict"),
    [
        (0.1, 0.3, True, "better"), (-0.3, -0.1, True, "worse"), (-0.1, 0.1, True, "no better"),
        (0.1, 0.3, False, "too few"), (math.nan, math.nan, True, "too few"),
    ],
)  # fmt: skip
def test_better_and_worse_are_said_of_whole_intervals(low, high, is_enough, verdict) -> None:
    mean = 0.0 if math.isnan(low) else (low + high) / 2
    assert Interval(mean=mean, low=low, high=high, is_enough=is_enough).verdict == verdict
    nothing = Interval(mean=math.nan, low=math.nan, high=math.nan)
    assert nothing.verdict == "not known"


def test_ranks_of_successors_vary_with_shared_next_cells(split_of) -> None:
    """Fifty current cells of ten next cells say as much as ten cells, not as fifty."""
    edges = {i: {50 + i % 10: 1.0} for i in range(50)}
    units = Units.of(split_of([[5]] * 60, edges))
    heights = np.random.default_rng(0).normal(size=10)
    of_pairs = heights[np.arange(50) % 10][:, None]
    shared = mean_half_widths(of_pairs, of_pairs, units)
    alone = mean_half_widths(heights[:, None], None, Units.of_cells(np.arange(10)))
    assert shared[0] == pytest.approx(alone[0], rel=0.15)
    assert sp.issparse(units.levels[0].parts.gathering)
