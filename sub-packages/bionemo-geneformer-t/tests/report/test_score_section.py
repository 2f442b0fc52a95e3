import numpy as np
import pytest
from pages import Page

from bionemo.geneformer_t.evaluate.evaluation import BASELINES, MODEL
from bionemo.geneformer_t.evaluate.text import summary
from bionemo.geneformer_t.report.score_section import score_section

COPY = "copying the current cell"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def page(evaluation) -> Page:
    return Page(score_section(evaluation).shown().text)


def shown(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}".replace("-", MINUS)


@pytest.mark.parametrize("name", [MODEL, *BASELINES])
def test_tables_hold_the_figures_of_each_row(name, evaluation, page) -> None:
    tokens, cells, populations = (row[1:] for row in page.rows if row[0] == name)
    row = evaluation.rows[name]
    assert tokens == [
        shown(row.all.cross_entropy, 3),
        f"{row.interval.low:.3f} to {row.interval.high:.3f}",
        *(shown(100 * share, 1) for share in (row.all.top1, row.all.top10, row.all.top100)),
        shown(row.changed.cross_entropy, 3),
        *(shown(100 * s, 1) for s in (row.changed.top1, row.changed.top10, row.changed.top100)),
    ]
    assert cells[1] == shown(100 * np.nanmean(row.whole.cells.overlap[100]), 1)
    assert cells[5] == shown(100 * np.nanmean(row.whole.direction.closer), 1)
    assert cells[7] == "-"  # no times are known
    assert populations[0] == shown(row.whole.population.energy, 3)


def test_marks_that_populations_are_read_against_follow(evaluation, page) -> None:
    for name, found in evaluation.population_marks.items():
        assert page.row(name)[1] == shown(found.wasserstein, 3)


def test_the_words_are_those_of_the_terminal(evaluation, page) -> None:
    text = "".join(page.text)
    for line in summary(evaluation).splitlines():
        assert line.strip() in text
    # for each baseline, populations and the bound; details stand under the first ones
    assert page.tags.count("li") == len(BASELINES) + 2
    assert page.tags.count("small") == len(BASELINES) + 1  # and the legend of the picture


def test_only_the_model_is_set_off(page) -> None:
    assert page.values("class").count("marked") == 3
