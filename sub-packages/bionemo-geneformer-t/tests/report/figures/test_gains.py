import matplotlib.colors as mc
import pytest

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.report.figures.gains import GainPanel, gains_figure
from bionemo.geneformer_t.report.figures.style import MODEL, QUIET, REFERENCE

NAN = float("nan")


def interval(mean: float, room: float = 0.1) -> Interval:
    return Interval(mean=mean, low=mean - room, high=mean + room)


def drawn(gains):
    panel = GainPanel(title="all genes", unit="nats", gains=gains)
    return gains_figure([f"over {i}" for i in range(len(gains))], [panel, panel]).axes[0]


def test_colours_say_better_worse_and_no_better() -> None:
    axes = drawn([interval(0.5), interval(-0.5), interval(0.05)])
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_color() for line in dots] == [MODEL, REFERENCE, QUIET]
    assert [line.get_xdata()[0] for line in dots] == [0.5, -0.5, 0.05]
    assert all(mc.is_color_like(line.get_color()) for line in axes.lines)


def test_rows_stand_from_the_top_under_their_names() -> None:
    axes = drawn([interval(0.1), interval(0.2)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["over 0", "over 1"]
    assert axes.get_ylim() == (1.5, -0.5)


def test_a_gain_far_beyond_the_others_is_written_and_leaves_them_room() -> None:
    axes = drawn([interval(0.1), interval(-0.2), interval(9.0)])
    assert axes.get_xlim()[1] < 1
    assert [text.get_text() for text in axes.texts] == ["+9.00"]


def test_the_axis_holds_every_interval_that_is_drawn() -> None:
    # a cluster of few cells has a wide interval, one of many a narrow one
    gains = [interval(0.01, 0.002), interval(0.012, 0.003), interval(0.02, 2.0)]
    low, high = drawn(gains).get_xlim()
    assert low < min(gain.low for gain in gains)
    assert high > max(gain.high for gain in gains)


def test_what_is_not_known_is_said() -> None:
    nothing = Interval(mean=NAN, low=NAN, high=NAN)
    assert [text.get_text() for text in drawn([nothing, nothing]).texts] == ["not known"] * 2


@pytest.mark.parametrize("gains", [[interval(0.0, 0.0)], [interval(0.0, 0.0), interval(1.0)]])
def test_gains_of_zero_can_be_drawn(gains) -> None:
    low, high = drawn(gains).get_xlim()
    assert low < 0 < high
