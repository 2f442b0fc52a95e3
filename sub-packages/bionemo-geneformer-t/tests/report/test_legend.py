"""Every row that is not the model itself has its words on the page."""

from bionemo.geneformer_t.evaluate import row_names
from bionemo.geneformer_t.evaluate.evaluation import BASELINES, DRAWN_BASELINES
from bionemo.geneformer_t.evaluate.scores import population_reference as populations
from bionemo.geneformer_t.report.legend import ROWS


def test_every_row_of_scores_is_explained() -> None:
    named = {value for name, value in vars(row_names).items() if name.isupper()}
    rows = {*BASELINES, *DRAWN_BASELINES, *named} - {row_names.MODEL}
    assert rows - ROWS.keys() == set()


def test_every_population_is_explained() -> None:
    marks = {
        populations.RETRIEVED, populations.NO_CHANGE, populations.SPLIT_IN_TWO,
        populations.SAME_TIMES, populations.TRAINING_CELLS,
    }  # fmt: skip
    assert marks - ROWS.keys() == set()


def test_no_other_row_is_explained() -> None:
    """Words of a row that was renamed would stay behind."""
    known = {value for name, value in vars(row_names).items() if name.isupper()}
    known |= {*BASELINES, *DRAWN_BASELINES}
    known |= {value for name, value in vars(populations).items() if isinstance(value, str)}
    assert ROWS.keys() - known == set()
