from pages import Page

from bionemo.geneformer_t.evaluate.evaluation import BASELINES, MODEL
from bionemo.geneformer_t.report.calibration_section import calibration_section


def test_every_predictor_has_its_error_and_its_entropy(evaluation) -> None:
    section = calibration_section(evaluation)
    page = Page(section.shown().text)
    for name in (MODEL, *BASELINES):
        error = 100 * evaluation.rows[name].calibration.expected_error
        assert page.row(name)[0] == f"{error:.2f}"
    assert [picture.name for picture in section.pictures] == ["calibration"]
