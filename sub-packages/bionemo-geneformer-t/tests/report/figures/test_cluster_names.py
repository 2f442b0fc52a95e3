import numpy as np

from bionemo.geneformer_t.report.figures.cluster_names import apart


def test_names_at_one_place_are_moved_apart_and_others_stay() -> None:
    wanted = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.51], [0.1, 0.9]])
    places = apart(wanted, ["first", "second", "third", "far"])
    np.testing.assert_array_equal(places[[0, 3]], wanted[[0, 3]])
    heights = np.sort(places[:3, 1])
    assert (np.diff(heights) >= 0.04).all()
    np.testing.assert_array_equal(places[:, 0], wanted[:, 0])


def test_no_names() -> None:
    assert apart(np.zeros((0, 2)), []).shape == (0, 2)
