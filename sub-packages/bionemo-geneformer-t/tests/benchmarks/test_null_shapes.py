"""The study of nulls runs, and its figures are those of one distribution."""

import null_shapes as bench
import pytest


@pytest.mark.slow
def test_a_row_has_false_genes_and_found_drivers() -> None:
    row = bench.study(200, bench.NOISES["normal"], runs=3)
    assert 100 < row["tested"] <= 200
    assert row["learned: genes in a run"] <= 2
    assert row["drivers found, one in 300"] > 0.3
    heavy = bench.study(200, bench.NOISES["Student, 3 degrees"], runs=3)
    assert heavy["normal: genes in a run"] > heavy["learned: genes in a run"]
