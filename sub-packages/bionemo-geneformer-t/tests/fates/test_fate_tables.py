"""Tables of fates of any type of number become one type, and what is no probability is refused."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.fates.fate_tables import checked_fates

FATES = pd.DataFrame({"A": [0.25, 1.0, np.nan], "B": [0.75, 0.0, np.nan]}, index=list("xyz"))


@pytest.mark.parametrize("kind", ["float32", "Float64", "float[pyarrow]", object])
def test_numbers_of_any_type_are_the_same_fates(kind) -> None:
    pd.testing.assert_frame_equal(checked_fates(FATES.astype(kind)), FATES)


def test_certain_fates_may_be_whole_numbers_or_truth_values() -> None:
    certain = FATES[1:2]
    for kind in (int, bool):
        pd.testing.assert_frame_equal(checked_fates(certain.astype(int).astype(kind)), certain)


def test_names_become_text() -> None:
    assert checked_fates(FATES.set_axis([0, 1], axis=1)).columns.tolist() == ["0", "1"]


@pytest.mark.parametrize(
    ("fates", "error", "message"),
    [
        (FATES.to_numpy(), TypeError, r"obsm\['fates'\] must be a DataFrame.*got ndarray"),
        (FATES.set_axis(["A", "A"], axis=1), ValueError, "several are called 'A'"),
        (FATES.assign(B="0.5"), ValueError, "must hold numbers.*in the columns 'B'"),
        (FATES * 2, ValueError, "between 0 and 1; got values from 0 to 2"),
        (FATES - 1, ValueError, "between 0 and 1; got values from -1 to 0"),
        (FATES.replace(0.25, np.inf), ValueError, "between 0 and 1; got values from 0 to inf"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(fates, error, message) -> None:
    with pytest.raises(error, match=message):
        checked_fates(fates, "obsm['fates']")
