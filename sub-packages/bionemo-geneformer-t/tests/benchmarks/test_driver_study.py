"""The study of driver genes runs, and its scores are right."""

from dataclasses import replace

import drivers as bench
import numpy as np
import pytest

SMALL = bench.FateSettings(num_cells=500, num_genes=60, num_switch_genes=2, switch_effect=1.2)


def test_scores_count_right_signs_alone() -> None:
    truth = np.array([[1.0, -1.0, 0.0, 1.0]])
    calls = bench.Calls(
        fdr=np.array([[0.01, 0.01, 0.01, np.nan]]), effect=np.array([[0.2, 0.2, 0.2, 0.2]])
    )
    assert calls.score(truth, 0.05) == {"recall": 1 / 3, "calls": 3, "false": 2}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_case_has_a_row(monkeypatch: pytest.MonkeyPatch, without_type_checks) -> None:
    monkeypatch.setattr(bench, "NULL", replace(SMALL, num_cells=300))
    monkeypatch.setattr(bench, "NULL_PERMUTATIONS", 1000)
    monkeypatch.setattr(bench, "PERMUTATIONS", 1000)
    rows = list(bench.null(1))
    assert [row["donors"] for row in rows] == [0] * 3 + [6] * 3
    cases = [(0, "true"), (0, "graph of the same counts"), (6, "graph of other counts")]
    monkeypatch.setattr(bench, "CASES", cases)
    rows = list(bench.power(SMALL, 1))
    assert {row["fates"] for row in rows} == set(bench.SOURCES)
    assert all(0 <= row["false"] <= 1 for row in rows)
    same = {row["fates"]: row["r with true"] for row in rows}
    assert same["true"] == pytest.approx(1)
    assert same["graph of the same counts"] > 0.15  # few cells and genes: weakly, 0.26 to 0.36
