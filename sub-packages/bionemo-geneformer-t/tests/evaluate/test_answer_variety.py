"""Information, lists and variance of answers, where they are known."""

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.answer_variety import (
    AveragePrediction,
    answer_variety,
    distinct_lists,
    true_variety,
)
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.evaluation import evaluate
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.units import Units


def average_of(tables) -> AveragePrediction:
    found = AveragePrediction()
    for table in tables:
        found.add(np.log(table), table)
    return found


def test_an_answer_that_ignores_the_cell_has_no_information_and_one_list(
    random_split, fitted
) -> None:
    train, test = random_split(0), random_split(1)
    found = evaluate(fitted(fit_rank_frequency, train), test, train, np.random.default_rng(0))
    row = found.rows[MODEL]
    assert row.variety.information == 0
    assert row.variety.distinct_lists == 1
    assert row.variety.between_cells == row.variety.fraction_between == 0
    right = row.right_information
    assert (right.mean, right.low, right.high) == (0, 0, 0)
    assert row.change.mean == row.direction.mean == 0
    assert row.change.low == row.direction.high == 0


def test_the_information_of_a_known_mixture() -> None:
    """Half of the cells have the first genes, half the others, each with probability 1 - e."""
    e, halves = 0.1, np.repeat(np.eye(2), 5, axis=1) / 5
    tables = [np.tile((1 - e) * halves[i % 2] + e * halves[1 - i % 2], (4, 1)) for i in range(60)]
    found = average_of([table.astype(np.float32) for table in tables])
    expected = np.log(2) + (1 - e) * np.log(1 - e) + e * np.log(e)
    assert found.information == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(found.mean, 0.1, rtol=1e-6)


def test_lists_are_told_apart_by_their_order() -> None:
    profiles = np.zeros((4, 30))
    profiles[:, :12] = np.linspace(1, 0.5, 12)
    assert distinct_lists(profiles) == 1
    profiles[1, [0, 1]] = profiles[1, [1, 0]]
    profiles[2, [10, 11]] = profiles[2, [11, 10]]  # below the tenth
    assert distinct_lists(profiles) == 2


def test_variance_between_and_within_cells_is_that_of_the_draws() -> None:
    rng = np.random.default_rng(0)
    expected = rng.normal(0, 2, (4000, 3))
    drawn = expected + rng.normal(0, 1, expected.shape)
    average = average_of(np.full((2, 1, 5), 0.2, dtype=np.float32))
    found = answer_variety(average, expected, drawn)
    assert found.between_cells == pytest.approx(12, rel=0.05)
    assert found.within_cells == pytest.approx(3, rel=0.05)
    assert found.fraction_between == pytest.approx(0.8, abs=0.02)


def test_variance_of_true_next_cells_is_unbiased(split_of) -> None:
    """Where next cells do not depend on the current cell, nothing is between current cells."""
    rng, fractions = np.random.default_rng(0), {"same": [], "own": []}
    for _ in range(20):
        for name, found in fractions.items():
            cells, edges = [], {}
            for i in range(30):
                genes = np.arange(5, 25)
                own = rng.permutation(genes)[:6]
                cells.append(own.tolist())
                edges[4 * i] = {4 * i + k: float(k) for k in (1, 2, 3)}
                cells += [
                    (own if name == "own" else rng.permutation(genes)[:6]).tolist()
                    for _ in range(3)
                ]
            pairs = split_of(cells, edges)
            profiles = PairProfiles.of(pairs, list(pairs.targets()))
            true = true_variety(profiles, Units.of(pairs).levels[0])
            found.append(true.between_cells - true.within_cells * (name == "own"))
            if name == "own":
                assert true.fraction_between == pytest.approx(1)
                assert true.distinct_lists == 30
    assert np.mean(fractions["same"]) < 0.06 * np.mean(fractions["own"])
