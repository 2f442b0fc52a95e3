from dataclasses import replace

import numpy as np
from explored_forks import CELLS, explored_forks

from bionemo.geneformer_t.report.explore.matched_fates import matched_fates
from bionemo.geneformer_t.report.fate_section import FateResults


def fates() -> FateResults:
    found = explored_forks().fates
    assert found is not None
    return found


def test_cells_are_found_by_their_names_in_any_order() -> None:
    found = fates()
    order = np.random.default_rng(0).permutation(40)
    matched = matched_fates(found, [CELLS[i] for i in order])
    np.testing.assert_array_equal(matched.probabilities, found.fates.to_numpy()[order])
    np.testing.assert_array_equal(matched.entropy, found.entropy[order])
    assert matched.transitions is not None
    assert found.transitions is not None
    np.testing.assert_array_equal(
        matched.transitions.toarray(), found.transitions.toarray()[order][:, order]
    )
    assert matched.num_known == 40


def test_cells_of_other_names_have_no_fates_and_no_transitions() -> None:
    matched = matched_fates(fates(), ["cell3", "another"])
    assert np.isfinite(matched.probabilities[0]).all()
    assert np.isnan(matched.probabilities[1]).all()
    assert matched.num_known == 1
    assert matched.transitions is None


def test_a_name_of_two_cells_stands_for_neither() -> None:
    found = fates()
    names = ["cell0", "cell0", *CELLS[2:]]
    twice = replace(found, fates=found.fates.set_axis(names))
    matched = matched_fates(twice, CELLS)
    assert np.flatnonzero(np.isnan(matched.entropy)).tolist() == [0, 1]
    assert matched.transitions is None


def test_all_names_twice_are_no_fates_at_all() -> None:
    found = fates()
    twice = replace(found, fates=found.fates.set_axis(["a"] * 40), transitions=None)
    assert matched_fates(twice, ["a", "b"]).num_known == 0
