"""Verdicts on successor retrieval follow from the intervals, and hubs from those of chance."""

from dataclasses import replace

import pytest

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.retrieval.rankers import DISPLACED, NEAREST
from bionemo.geneformer_t.evaluate.retrieval.retrieval import (
    CHANCE,
    SIMPLE,
    Retrieval,
    RetrievalScores,
)
from bionemo.geneformer_t.evaluate.retrieval.retrieval_measures import RECALL, RECIPROCAL_RANK, Hubs
from bionemo.geneformer_t.evaluate.retrieval.retrieval_text import (
    retrieval_sentences,
    retrieval_tables,
    retrieval_values,
)

ABOVE, AROUND = Interval(mean=0.2, low=0.1, high=0.3), Interval(mean=0.1, low=-0.1, high=0.3)
MODEL = "the model"


def row(holding_half: float, largest: float) -> RetrievalScores:
    measured = Interval(mean=0.5, low=0.4, high=0.6)
    return RetrievalScores(
        measures={}, intervals={RECIPROCAL_RANK: measured, RECALL: measured},
        hubs=Hubs(holding_half=float(holding_half), largest=float(largest)), later=0.7,
    )  # fmt: skip


def retrieval(model: RetrievalScores | None = None, **worse: Interval) -> Retrieval:
    """The model is above all simple searches, but for what is given of the nearest cells."""
    others = (*SIMPLE, CHANCE)
    gains = {name: {RECIPROCAL_RANK: ABOVE, RECALL: ABOVE} for name in others}
    gains[NEAREST] |= worse
    rows = {MODEL: model or row(30, 3), **{name: row(30, 3) for name in SIMPLE}, CHANCE: row(40, 4)}
    return Retrieval(
        rows=rows, gains=gains, next_time={}, next_time_gains={}, clusters=(),
        num_contexts=60, num_candidates=80,
    )  # fmt: skip


def test_the_verdict_is_over_all_simple_searches_and_both_measures() -> None:
    first = retrieval_sentences(retrieval())[0]
    assert first.startswith(
        "The model finds true successors among all cells better than every simple search"
    )
    assert DISPLACED in first
    first = retrieval_sentences(retrieval(recall=AROUND))[0]
    assert first.startswith("The model does not find true successors among all cells better than")
    assert f"no better: {NEAREST}: recall among 5 +0.100" in first
    assert DISPLACED not in first
    few = replace(AROUND, is_enough=False)
    assert retrieval_sentences(retrieval(recall=few))[0].endswith("cannot be told: too few cells.")


def test_cells_of_the_next_time_point_have_a_verdict_of_their_own() -> None:
    both = retrieval()
    worse = {name: {RECIPROCAL_RANK: AROUND, RECALL: AROUND} for name in SIMPLE}
    both = replace(both, next_time=both.rows, next_time_gains=worse)
    first, second, *_ = retrieval_sentences(both)
    assert first.startswith("The model finds")
    assert second.startswith("The model does not find true successors among cells of the next time")
    assert len(retrieval_tables(both)) == 2
    assert retrieval_values(both)["sentences"][1] == second


@pytest.mark.parametrize(
    ("half", "largest", "by_chance", "is_said"),
    [
        (30, 3, 4, False),
        (23, 3, 4, True),  # below 0.6 of 40
        (30, 5.5, 4, True),
        (30, 5.5, 6, False),  # few edges have such hubs by chance
        (30, 6.5, 6, True),
    ],
)
def test_hubs_are_warned_of_beside_those_of_chance(half, largest, by_chance, is_said) -> None:
    found = retrieval(row(half, largest))
    found = replace(found, rows={**found.rows, CHANCE: row(40, by_chance)})
    (*_, last) = retrieval_sentences(found)
    assert last.startswith("Few cells draw many edges") == is_said
    if is_said:
        assert f"are in {half} cells, where by chance they are in 40" in last
        assert f"{largest:.1f} times the mean, where by chance it is {by_chance:.1f}" in last
