"""The losses of the training run."""

from pathlib import Path

import pandas as pd

from bionemo.geneformer_t.report.figures.loss_curve import loss_figure
from bionemo.geneformer_t.report.markup import paragraph
from bionemo.geneformer_t.report.numbers import number
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture

_TITLE = "Loss curves"


def loss_section(metrics: Path | None) -> Section:
    """Training and validation loss over optimizer steps.

    Args:
        metrics: The `metrics.csv` of the run; None where it is not beside the checkpoint.
    """
    if metrics is None:
        text = (
            "There is no metrics.csv beside the checkpoint's folder, so the losses of the training "
            "cannot be shown."
        )
        return Section(name="loss", title=_TITLE, body=[paragraph(text)])
    table = pd.read_csv(metrics)
    text = _in_words(table)
    picture = Picture.of(
        loss_figure(table), "loss_curve", f"Training and validation loss over steps. {text}"
    )
    return Section(
        name="loss", title=_TITLE, body=[paragraph(text), picture.shown()], pictures=[picture]
    )


def _in_words(table: pd.DataFrame) -> str:
    """Where the validation loss was lowest and where it ended."""
    column = "val/loss"
    known = table[["step", column]].dropna() if column in table else table.iloc[:0]
    if not len(known):
        return "The run had no validation cells: only the loss of training batches is known."
    best, last = known.iloc[int(known[column].to_numpy().argmin())], known.iloc[-1]
    return (
        f"The validation loss was lowest at step {int(best['step']):,} "
        f"({number(best[column])} nats) and ended at {number(last[column])} nats."
    )
