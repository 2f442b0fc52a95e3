"""Ranks of true successors: other true ones left out, ties in the middle, itself no candidate."""

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, Found, find
from bionemo.geneformer_t.evaluate.retrieval.rankers import random_ranker
from bionemo.geneformer_t.evaluate.retrieval.retrieval_measures import (
    RECALL,
    RECIPROCAL_RANK,
    Hubs,
    pair_measures,
    share_later,
)

NUM_CELLS = 8


@pytest.fixture
def search() -> CandidateSearch:
    """Cell 0 goes to 3 and 5, cell 2 to 0; cell 7 is no candidate."""
    return CandidateSearch(
        cells=np.array([0, 2]),
        candidates=np.arange(7),
        current=np.array([0, 0, 1]),
        following=np.array([3, 5, 0]),
    )


def scores(*rows: list[float]):
    table = np.array(rows)
    return lambda contexts: table[contexts]


def found_by(search: CandidateSearch, ranker) -> Found:
    ((found,),) = find([search], [ranker])
    return found


def test_the_rank_is_that_among_candidates_that_are_no_true_successor(search) -> None:
    # of cell 0: itself highest (left out), then 5, 6, 3; the true ones do not push each other down
    found = found_by(search, scores([9, 1, 1, 5, 1, 7, 6], [3, 3, 9, 0, 5, 0, 0]))
    np.testing.assert_array_equal(found.ranks, [2, 1, 2.5])  # of cell 2: 4, then 0 and 1 tie
    assert found.highest[0, :3].tolist() == [5, 6, 3]
    assert found.highest[0, -4:].tolist() == [-1] * 4  # six candidates without itself
    assert 2 not in found.highest[1]


def test_measures_are_those_of_the_ranks(search) -> None:
    found = found_by(search, scores([0, 9, 9, 5, 9, 8, 9], [7, 6, 5, 4, 3, 2, 1]))
    measures = pair_measures(found)
    np.testing.assert_allclose(measures[RECIPROCAL_RANK], [1 / 5, 1 / 5, 1])
    np.testing.assert_array_equal(measures[RECALL], [1, 1, 1])
    worst = pair_measures(found_by(search, scores([9] * 3 + [0] + [9] * 3, [0] + [1] * 6)))
    np.testing.assert_array_equal(worst[RECALL], [1, 1, 0])  # ranks 5, 2.5 and 6


def test_a_ranker_without_an_opinion_is_as_good_as_chance(search) -> None:
    alike = found_by(search, lambda contexts: np.zeros((len(contexts), 7)))
    np.testing.assert_array_equal(alike.ranks, [3, 3, 3.5])
    ranker = random_ranker(search, np.random.default_rng(0))
    ranks = np.mean([found_by(search, ranker).ranks for _ in range(2000)], axis=0)
    np.testing.assert_allclose(ranks, alike.ranks, atol=0.15)


def test_within_the_next_time_point_others_are_no_candidates(search) -> None:
    time = np.array([0, 0, 0, 1, 1, 2, 1, np.nan])
    within = search.within_next_time(time)
    asked = scores([9, 9, 9, 3, 4, 9, 2], [1, 2, 3, 4, 5, 6, 7])
    ((everywhere, next_time),) = find([search, within], [asked])
    assert within.may_be(np.array([0]))[0].tolist() == [False] * 3 + [True, True, False, True]
    assert next_time.ranks[0] == 2  # of 4, 3, 6
    assert np.isnan(next_time.ranks[1:]).all()  # 5 is two points later, 0 is not later
    assert np.isfinite(everywhere.ranks).all()
    last = CandidateSearch(
        cells=np.array([5]), candidates=np.arange(7), current=np.array([0]),
        following=np.array([6]), time=time,
    )  # fmt: skip
    assert not last.may_be(np.array([0])).any()


def test_candidates_in_the_same_place_for_all_are_hubs() -> None:
    number = 40
    search = CandidateSearch(
        cells=np.arange(number), candidates=np.arange(number), current=np.arange(number),
        following=np.roll(np.arange(number), 1),
    )  # fmt: skip
    same = found_by(search, lambda contexts: np.tile(np.arange(number), (len(contexts), 1)))
    assert Hubs.of(same, number).holding_half == 3
    assert Hubs.of(same, number).largest == pytest.approx(39 / 5)
    ring = -np.abs((np.arange(number)[:, None] - np.arange(number) + 20) % number - 20)
    spread = found_by(search, lambda contexts: ring[contexts])
    assert Hubs.of(spread, number).holding_half == pytest.approx(20, abs=2)
    time = np.arange(number, dtype=float)
    assert share_later(search, same, time) > 0.9
    assert share_later(search, spread, time) == pytest.approx(0.5, abs=0.06)


def test_scores_that_are_no_numbers_are_refused(search) -> None:
    with pytest.raises(ValueError, match="1 are not"):
        found_by(search, scores([np.nan] + [0.0] * 6, [0.0] * 7))
