import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.scores.calibration import EDGES, Calibration
from bionemo.geneformer_t.report.figures.calibration_curve import calibration_figure


def found_in(bins: dict[int, tuple[float, float, float]]) -> Calibration:
    """Sums in some bins: mean claim, share right, positions."""
    sums = np.zeros((3, len(EDGES) - 1))
    for place, (claimed, right, positions) in bins.items():
        sums[:, place] = claimed * positions, right * positions, positions
    rng = np.random.default_rng(0)
    return Calibration(
        claimed=sums[0], right=sums[1], positions=sums[2], entropy=rng.random(30) + 5,
        cross_entropy=rng.random(30) + 5,
    )  # fmt: skip


def drawn(found: Calibration, half: float = 0.01):
    """The picture, with intervals of one width."""
    with np.errstate(invalid="ignore"):
        shares = found.right / found.positions
    return calibration_figure(
        found, [Interval(mean=one, low=one - half, high=one + half) for one in shares.tolist()]
    )


def test_bars_are_the_intervals_and_stay_above_zero() -> None:
    bars = drawn(found_in({5: (0.01, 0.02, 100), 9: (0.1, 0.05, 50)}), 0.04).axes[0].collections[0]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.002, 0.06]), pytest.approx([0.01, 0.09])]


def test_dots_stand_at_what_was_claimed_and_what_was_found() -> None:
    axes = drawn(found_in({5: (0.01, 0.02, 100), 9: (0.1, 0.05, 50)})).axes[0]
    dots = axes.collections[-1].get_offsets()
    assert np.asarray(dots) == pytest.approx(np.array([[0.01, 0.02], [0.1, 0.05]]))
    assert axes.get_xlim() == axes.get_ylim()


def test_bins_of_few_positions_are_left_out() -> None:
    axes = drawn(found_in({5: (0.01, 0.02, 100), 9: (0.1, 0.5, 4)})).axes[0]
    assert len(axes.collections[-1].get_offsets()) == 1


def test_every_cell_stands_at_its_entropy_and_error() -> None:
    found = found_in({5: (0.01, 0.02, 100)})
    dots = np.asarray(drawn(found).axes[1].collections[0].get_offsets())
    assert dots[:, 0] == pytest.approx(found.entropy)
    assert dots[:, 1] == pytest.approx(found.cross_entropy)


def test_nothing_to_draw_is_no_failure() -> None:
    nothing = Calibration.join([])
    assert len(drawn(nothing).axes) == 2
