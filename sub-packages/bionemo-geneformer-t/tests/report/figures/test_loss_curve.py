import pandas as pd
import pytest
from matplotlib.image import imread

from bionemo.geneformer_t.report.figures.loss_curve import loss_curve, loss_figure

HEAD = "step,epoch,train/loss,val/loss\n"


@pytest.mark.parametrize(
    "rows",
    ["0,0,5.0,\n1,0,4.0,\n1,0,,4.5\n", "0,0,5.0,\n1,0,4.0,\n", "0,0,5.0,\n"],
    ids=["one validation", "no validation", "one step"],
)
def test_a_curve_is_drawn_from_what_there_is(rows, tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text(HEAD + rows)
    path = loss_curve(tmp_path / "metrics.csv", tmp_path / "new" / "loss.png")
    assert imread(path).shape[1] > 500


@pytest.mark.parametrize("num_steps", [1, 2, 4, 25, 1000])
def test_steps_are_whole_numbers(num_steps) -> None:
    steps = range(num_steps)
    table = pd.DataFrame({"step": steps, "train/loss": [5.0] * num_steps})
    ticks = loss_figure(table).axes[0].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)
    assert set(ticks) & set(steps)
