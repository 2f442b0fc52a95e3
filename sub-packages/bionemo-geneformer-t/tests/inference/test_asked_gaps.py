import numpy as np
import pytest

from bionemo.geneformer_t.inference.asked_gaps import asked_gaps
from bionemo.geneformer_t.model.time_gap import TrainedGaps


@pytest.fixture
def in_days(model):
    model.time_gaps = TrainedGaps.of(np.array([1.0, 4.0, 20.0]), key="day", unit="days", days=1.0)
    return model


def test_numbers_are_in_the_unit_of_the_model_and_others_are_converted(in_days) -> None:
    found = asked_gaps(in_days, ["3", 4.5, "2 weeks", "36h", "5 days", "6_days"])
    np.testing.assert_allclose(found.gaps, [3, 4.5, 14, 1.5, 5, 6])
    assert found.unit == "days"
    assert not found.is_outside.any()
    assert found.notes() == ()


def test_gaps_outside_those_of_training_are_marked(in_days) -> None:
    found = asked_gaps(in_days, ["12h", 4.0, 30.0])
    assert found.is_outside.tolist() == [True, False, True]
    (note,) = found.notes()
    assert note.startswith("time gap 0.5, 30 days: outside those of training, 1 to 20 days")


@pytest.mark.parametrize("wrong", ["0", "-3", "soon", "3 4", "", "inf", "nan", 0.0, "1e999"])
def test_a_gap_that_is_no_positive_number_is_refused(in_days, wrong) -> None:
    with pytest.raises(ValueError, match="time_gap must be a positive number"):
        asked_gaps(in_days, [wrong])


def test_a_gap_that_is_asked_for_twice_is_refused(in_days) -> None:
    with pytest.raises(ValueError, match="asked for twice: 24h, 1 day"):
        asked_gaps(in_days, ["24h", "1 day"])


@pytest.mark.parametrize(("unit", "days"), [("pseudotime", None), ("steps", None), ("days", 1.0)])
def test_units_that_cannot_be_compared_are_refused(model, unit, days) -> None:
    model.time_gaps = TrainedGaps.of(np.array([0.1, 0.4]), key=unit, unit=unit, days=days)
    assert asked_gaps(model, [f"0.2 {unit}"]).gaps.tolist() == [0.2]
    wrong = "3 days" if days is None else "3 dpc"
    with pytest.raises(
        ValueError, match=f"cannot be compared with '{unit}', the unit of this model"
    ):
        asked_gaps(model, [wrong])


def test_a_model_without_gaps_says_how_to_train_one(model) -> None:
    with pytest.raises(ValueError, match=r"trained without time gaps .*--time_gap_key day"):
        asked_gaps(model, ["3"])
