"""Every row that is not the model itself has its words on the page."""

from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.report.legend import ROWS


def test_every_baseline_is_explained() -> None:
    assert [name for name in BASELINES if name not in ROWS] == []
    assert {"noise ceiling", "no change"} <= set(ROWS)
