"""The sentences on answers and nulls hold for the figures beside them, and warn where they must."""

from dataclasses import replace

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.dependence_tables import (
    SIMILAR,
    answer_sentences,
    change_table,
    null_sentence,
    variety_table,
)
from bionemo.geneformer_t.evaluate.evaluation import BASELINES, Evaluation, evaluate
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.row_names import MODEL


@pytest.fixture(scope="module")
def ignorant(fitted, random_split) -> Evaluation:
    """The model gives every cell the same answer."""
    train, test = random_split(0), random_split(1)
    return evaluate(fitted(fit_rank_frequency, train), test, train, np.random.default_rng(0))


def with_row(evaluation: Evaluation, name: str, right: Interval, information: float) -> Evaluation:
    row = evaluation.rows[name]
    variety = replace(row.variety, information=information)
    row = replace(row, right_information=right, variety=variety)
    return replace(evaluation, rows={**evaluation.rows, name: row})


def test_the_same_answer_for_all_cells_is_warned_of(ignorant) -> None:
    first, warning = answer_sentences(ignorant)
    assert "Answers: 1 distinct lists of the 10 highest genes for 58 current cells" in first
    assert "they claim 0.000 nats" in first
    assert "Warning: what the model answers does not depend on the cell in a way that" in warning
    assert "change of genes" in null_sentence(ignorant)
    assert null_sentence(ignorant).count("not above its null") == 2


def test_partners_that_are_linked_to_their_cell_are_counted(ignorant) -> None:
    words = "25.0% of the partners follow or precede their cell in the graph"
    assert words in null_sentence(replace(ignorant, linked_partners=0.25))
    assert "of the partners" not in null_sentence(replace(ignorant, linked_partners=0.0))


def test_less_information_than_similar_cells_get_right_is_warned_of(ignorant) -> None:
    good = Interval(mean=0.05, low=0.04, high=0.06)
    informed = with_row(ignorant, MODEL, good, 0.05)
    assert len(answer_sentences(informed)) == 1
    better = with_row(informed, SIMILAR, Interval(mean=0.2, low=0.1, high=0.3), 0.2)
    _, warning = answer_sentences(better)
    assert (
        "(0.050 nats per position) than successors of similar cells get right (at least" in warning
    )
    assert len(answer_sentences(with_row(better, MODEL, good, 0.11))) == 1


def test_too_few_cells_give_no_warning(ignorant) -> None:
    few = Interval(mean=0.0, low=-1.0, high=1.0, is_enough=False)
    assert len(answer_sentences(with_row(ignorant, MODEL, few, 0.0))) == 1


def test_tables_have_a_row_for_each_predictor_and_the_truth(ignorant) -> None:
    names = [MODEL, *BASELINES]
    assert [row[0] for row in change_table(ignorant).rows] == names
    assert [row[0] for row in variety_table(ignorant).rows] == [*names, "true next cells"]
    row = change_table(ignorant).rows[0]
    assert row[1] == row[2]
    assert row[3] in {"+0.000", "-0.000"}
    widths = {len(line) for line in variety_table(ignorant).rows}
    assert len(widths) == 1
