"""Scores belong to a checkpoint by content; whoever reads others is told what is different."""

import json

import pytest

from bionemo.geneformer_t.report.evaluation_files import (
    EVALUATION,
    SCORED,
    Scored,
    difference,
    read_scores,
    scores_beside,
)

MINE = Scored(model="a" * 64, split="test", cells="c" * 64, graph="d" * 64)
ROW = {
    "all": {"cross_entropy": 4.737, "top1": 0.1, "top10": 0.2, "top100": 0.3},
    "changed": {"cross_entropy": None},
    "cross_entropy_interval": {"low": 4.5, "high": 4.9},
}
VALUES = {
    "rows": {"the model": ROW}, "split": "test", "num_positions": 9, "num_pairs": 2,
    "num_cells": 1, "intervals": "Intervals.", SCORED: MINE.to_dict(),
}  # fmt: skip


def test_what_is_the_same_is_taken_wherever_it_lies(tmp_path):
    (tmp_path / EVALUATION).write_text(json.dumps(VALUES))
    values, words = scores_beside(tmp_path, MINE)
    assert values["rows"]["the model"]["all"]["cross_entropy"] == 4.737
    assert words == str(tmp_path / EVALUATION)
    assert scores_beside(tmp_path, Scored(model=MINE.model))[0] is not None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "b" * 64}, "another model (fingerprint bbbbbbbbbbbb, not aaaaaaaaaaaa)"),
        ({"cells": "e" * 64}, "other cells (fingerprint eeeeeeeeeeee, not cccccccccccc)"),
        ({"graph": "f" * 64}, "another graph of successors"),
        ({"split": "val"}, "it scores split 'val', not 'test'"),
        ({"graph": None}, "another graph of successors (fingerprint none)"),
    ],
)
def test_what_is_different_is_said_and_not_used(tmp_path, changed, words):
    (tmp_path / EVALUATION).write_text(
        json.dumps({**VALUES, SCORED: {**MINE.to_dict(), **changed}})
    )
    values, reason = scores_beside(tmp_path, MINE)
    assert values is None
    assert words in reason
    assert str(tmp_path / EVALUATION) in reason


@pytest.mark.parametrize("scored", [None, 1, {}, {"model": None}])
def test_an_earlier_version_is_not_known(scored):
    old = {**VALUES, SCORED: scored}
    assert "whose scores they are is not known" in difference(old, MINE)
    del old[SCORED]
    assert "an earlier version wrote it" in difference(old, MINE)


def test_a_damaged_file_is_named_and_not_used(tmp_path):
    assert scores_beside(tmp_path, MINE) == (None, "")
    (tmp_path / EVALUATION).write_text("{")
    values, reason = scores_beside(tmp_path, MINE)
    assert values is None
    assert "is not valid JSON" in reason
    (tmp_path / EVALUATION).write_text("{}")
    with pytest.raises(ValueError, match=r"evaluation\.json: it holds no scores"):
        read_scores(tmp_path / EVALUATION)
