"""Calibration of every predictor in figures, and of the model as a picture."""

from bionemo.geneformer_t.evaluate.evaluation import MODEL, Evaluation
from bionemo.geneformer_t.report.figures.calibration_curve import calibration_figure
from bionemo.geneformer_t.report.markup import paragraph, table
from bionemo.geneformer_t.report.numbers import number, percent
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture


def calibration_section(evaluation: Evaluation) -> Section:
    """Reliability of probabilities, and entropy against error."""
    own = evaluation.rows[MODEL].calibration
    picture = Picture.of(
        calibration_figure(own, evaluation.rows[MODEL].reliability),
        "calibration",
        "Left, how often the likeliest gene is there against its claimed probability; right, the "
        f"cross-entropy of each cell against the entropy of its prediction, with rank correlation "
        f"{number(own.entropy_vs_error, 2)}.",
    )
    rows = [
        [
            name,
            percent(row.calibration.expected_error, 2),
            number(row.calibration.entropy_vs_error, 2),
        ]
        for name, row in evaluation.rows.items()
    ]
    names = list(evaluation.rows)
    return Section(
        name="calibration",
        title="Calibration",
        body=[
            paragraph(
                "The expected error is the mean gap between the claimed probability of the "
                "likeliest gene and how often it is there. Entropy vs. error is the rank "
                "correlation over cells (Spearman) between the entropy of the prediction and its "
                "cross-entropy: above zero, predictions that are less certain are worse."
            ),
            picture.shown(),
            table(
                [["", "expected error", "entropy vs. error"], ["", "%", "spearman"]],
                rows,
                caption="Calibration of the model and of each baseline",
                marked=[names.index(MODEL)],
            ),
        ],
        pictures=[picture],
    )
