import numpy as np
import pytest

from bionemo.geneformer_t.counts.checks import check_counts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "must not be negative; the lowest is -1"),
        (np.nan, "must be finite; 1 values are NaN or infinite"),
        (np.inf, "must be finite"),
        (0.693147, r"look log-normalised or transformed, as log\(1 \+ count\)$"),
        (100.5, "look like expected counts, as estimation by EM gives them"),
    ],
)
def test_what_is_no_raw_count_is_refused(value: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"here: .*{message}"):
        check_counts(np.array([1.0, value, 3.0], dtype=np.float32), "here")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint16", "bool"])
def test_raw_counts_of_any_type_pass(dtype: str) -> None:
    check_counts(np.array([0, 1, 70]).astype(dtype), "here")
    check_counts(np.zeros(0, dtype=dtype), "here")


def test_negative_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        check_counts(np.array([1, -2]), "here")


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="must be numbers"):
        check_counts(np.array(["1"]), "here")
