"""Terminal states: by clusters, by the last time point, and as the chain shows them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.fates.chain_structure import chain_structure, checked_transitions
from bionemo.geneformer_t.fates.found_states import found_states, where_after
from bionemo.geneformer_t.fates.terminal_states import (
    cluster_states,
    last_cells,
    last_time_states,
)

LABELS = pd.Series(["stem", "stem", "mid", "A", "A", "B", None], dtype="category")


def test_clusters_by_name_and_together():
    found = cluster_states(LABELS, ["A", "B"], "type")
    assert found.names == ("A", "B")
    assert found.state.tolist() == [-1, -1, -1, 0, 0, 1, -1]
    assert found.sizes.tolist() == [2, 1]
    assert found.categories().tolist()[3:6] == ["A", "A", "B"]
    assert found.categories().isna().tolist() == [True, True, True, False, False, False, True]
    joined = cluster_states(LABELS, {"ends": ["A", "B"], "back": "stem"}, "type")
    assert joined.state.tolist() == [1, 1, -1, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("terminal", "kind", "message"),
    [
        (["A", "C", "D"], KeyError, "no cluster 'C', 'D'; it has: A, B, mid, stem"),
        ("A", ValueError, "two or more terminal states; A of .* gives one, 'A'"),
        ([], ValueError, r"^terminal names no cluster; obs\['type'\] has: A, B, mid, stem"),
        ({"x": ["A", "B"], "y": []}, ValueError, "^fate 'y' of terminal names no cluster; obs"),
        ({"x": ["A", "B"], "y": "A"}, ValueError, "names 'A' twice"),
        ({"x": ["A", "B"], "y": None}, TypeError, "^fate 'y' of terminal must name.*got None"),
        ({"x": ["A", "B"], "y": 7}, KeyError, "no cluster '7'; it has: A, B, mid, stem"),
    ],
)
def test_wrong_clusters_are_refused(terminal, kind, message):
    with pytest.raises(kind, match=message):
        cluster_states(LABELS, terminal, "type")


def test_a_label_that_is_a_number_is_a_cluster_of_its_own():
    labels = pd.Series([0, 0, 1, 2, 3])
    found = cluster_states(labels, {"early": 2, "both": (1, 3)}, "leiden")
    assert found.names == ("early", "both")
    assert found.state.tolist() == [-1, -1, 1, 0, 1]


def test_all_clusters_leave_nothing_to_find():
    with pytest.raises(ValueError, match="names all 4 clusters"):
        cluster_states(LABELS[:6], ["A", "B", "mid", "stem"], "type")


def test_clusters_of_the_last_time_point_alone():
    last = last_cells(np.array([0, 1, 1, 1, 2, 2, np.nan]))
    assert last.tolist() == [False] * 4 + [True, True, False]
    found = cluster_states(LABELS, ["A", "B"], "type", last)
    assert found.state.tolist() == [-1, -1, -1, -1, 0, 1, -1]
    with pytest.raises(ValueError, match=r"last time point has no cell of 'mid'; it has .*: A, B"):
        cluster_states(LABELS, ["A", "mid"], "type", last)


def test_the_last_time_point_by_cluster():
    labels = pd.Series(["A"] * 12 + ["B"] * 15 + ["rare"] * 3 + ["stem"] * 10)
    times = np.array([2.0] * 30 + [1] * 10)
    found = last_time_states(times, labels)
    assert found.names == ("A", "B")
    assert found.sizes.tolist() == [12, 15]
    assert found.notes == (
        "rare: fewer than 10 cells in the last time point, no fate of their own",
    )
    lost = labels.where(np.arange(len(labels)) % 13 > 0)
    number = int((lost.isna() & (times == 2)).sum())
    assert last_time_states(times, lost).notes[-1] == (
        f"{number} of 30 cells of the last time point have no cluster and are not terminal"
    )
    with pytest.raises(ValueError, match="give cluster_key"):
        last_time_states(times, None)
    with pytest.raises(ValueError, match="needs two or more; got 1"):
        last_time_states(np.ones(40), labels)


def branches(back: float, cells: int = 60, rng: int = 0) -> tuple[sp.csr_array, pd.Series]:
    """Stem cells go to the middle, from there to A and B; every step may lead back."""
    names = np.array(["stem", "mid", "A", "B"])
    ahead = np.array([[0.5, 0.5, 0, 0], [0, 0.5, 0.25, 0.25], [0, 0, 1, 0], [0, 0, 0, 1]])
    behind = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    of_cluster = (1 - back) * ahead + back * behind
    code = np.random.default_rng(rng).permutation(np.repeat(np.arange(4), cells // 4))
    matrix = of_cluster[code][:, code]
    matrix /= matrix.sum(axis=1, keepdims=True)
    return sp.csr_array(matrix), pd.Series(names[code])


def find(chain, labels=None, **more):
    transitions = checked_transitions(chain, [str(i) for i in range(chain.shape[0])])
    return found_states(transitions, chain_structure(transitions), labels, **more)


def test_closed_classes_are_found_and_named_by_cluster():
    chain, labels = branches(back=0)
    found = find(chain, labels)
    assert sorted(found.names) == ["A", "B"]
    for name in "AB":
        members = found.categories() == name
        np.testing.assert_array_equal(members, labels == name)
    assert found.how == "the closed classes of the chain"
    assert set(find(chain).names) == {"sink 1", "sink 2"}


def test_small_closed_classes_count_together_in_a_cluster_and_are_else_left_out():
    chain, labels = branches(back=0)
    rows = chain.toarray()
    ends = np.flatnonzero(labels == "A")
    rows[ends] = np.eye(60)[ends]  # 15 closed classes of one cell
    found = find(sp.csr_array(rows), labels)
    assert sorted(found.names) == ["A", "B"]
    labels[ends[:5]] = "rare"
    found = find(sp.csr_array(rows), labels)
    assert found.notes == ("5 cells in closed classes of fewer than 10 cells are no fate",)
    labels[ends[:3]] = None
    assert find(sp.csr_array(rows), labels).notes == (
        "2 cells in closed classes of fewer than 10 cells are no fate",
        "3 cells in closed classes whose cells have no cluster are no fate",
    )
    with pytest.raises(ValueError, match=r"cannot be found: .*16 closed classes.*Give cluster_key"):
        find(sp.csr_array(rows))


@pytest.mark.parametrize("back", [0.001, 0.005, 0.02])
def test_clusters_that_gain_and_keep_are_found_where_all_is_connected(back):
    chain, labels = branches(back)
    found = find(chain, labels, horizon=20.0)
    assert found.names == ("A", "B")
    assert found.how.startswith("the clusters that gain cells")


def test_a_walk_without_direction_has_no_sink():
    rng = np.random.default_rng(0)
    weights = rng.random((60, 60)) + 0.1
    weights += weights.T
    chain = weights / weights.sum(axis=1, keepdims=True)
    labels = pd.Series(np.repeat(["a", "b", "c"], 20))
    with pytest.raises(ValueError, match=r"cannot be found: .*are 0 of 3 \(a .* its cells, keeps"):
        find(sp.csr_array(chain), labels)
    with pytest.raises(ValueError, match="Give cluster_key"):
        find(sp.csr_array(chain))
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        find(sp.csr_array(chain), labels, horizon=0.5)


def test_where_a_chain_is_after_a_random_number_of_steps():
    chain, labels = branches(back=0.1)
    codes = pd.factorize(labels)[0]
    found = where_after(chain, codes, 4, horizon=3.0)
    stop, after, truth = 1 / 4, np.eye(60), np.zeros((60, 60))
    for step in range(200):
        truth += stop * (1 - stop) ** step * after
        after = after @ chain.toarray()
    np.testing.assert_allclose(found, truth @ np.eye(4)[codes], atol=1e-8)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_names_of_fates_hold_no_slash():
    labels = pd.Series(["a/b", "a-b", "c"])
    found = cluster_states(labels, ["a/b", "c"], "type").with_storable_names()
    assert found.names == ("a-b", "c")
    assert found.notes == ("a/b is called a-b: an .h5ad holds no slash in names of columns",)
    with pytest.raises(ValueError, match="differ in more than slashes"):
        cluster_states(labels, ["a/b", "a-b"], "type").with_storable_names()


@pytest.mark.parametrize("name", ["", ".", "_index"])
def test_a_name_that_no_file_holds_as_a_column_is_replaced_with_a_note(name, tmp_path):
    labels = pd.Series([name, "b", "c"])
    found = cluster_states(labels, [name, "c"], "type").with_storable_names()
    assert found.names == (f"fate {name!r}", "c")
    assert found.state.tolist() == [0, -1, 1]
    assert found.notes == (
        f"{name} is called fate {name!r}: an .h5ad holds no column of such a name",
    )
    cells = anndata.AnnData(np.zeros((1, 1)), obs=pd.DataFrame(index=["cell"]))
    cells.obsm["fates"] = pd.DataFrame([[0.25, 0.75]], index=["cell"], columns=list(found.names))
    cells.write_h5ad(tmp_path / "fates.h5ad")
    again = anndata.read_h5ad(tmp_path / "fates.h5ad").obsm["fates"]
    assert again.to_dict("list") == {found.names[0]: [0.25], "c": [0.75]}


def test_ends_that_leak_into_each_other_are_told_with_a_horizon_that_parts_them():
    """As where differentiated cells go to each other, for nothing later is known."""
    labels = pd.Series(np.repeat(["early", "A", "B"], 30))
    within = np.full((30, 30), 1 / 30)
    chain = np.zeros((90, 90))
    places = {"early": slice(0, 30), "A": slice(30, 60), "B": slice(60, 90)}
    for (start, end), rate in {
        ("early", "early"): 0.8, ("early", "A"): 0.1, ("early", "B"): 0.1,
        ("A", "A"): 0.97, ("A", "B"): 0.03, ("B", "B"): 0.999, ("B", "A"): 0.001,
    }.items():  # fmt: skip
        chain[places[start], places[end]] = rate * within
    message = r"are 1 of 3 .*Over 10 steps they are A, B: .*give horizon=10;"
    with pytest.raises(ValueError, match=message):
        find(sp.csr_array(chain), labels)
    assert find(sp.csr_array(chain), labels, horizon=10.0).names == ("A", "B")


def test_where_no_horizon_gives_two_ends_it_is_said():
    labels = pd.Series(np.repeat(["a", "b"], 20))
    chain = np.full((40, 40), 1 / 40)
    with pytest.raises(ValueError, match="No shorter horizon gives two either: name clusters"):
        find(sp.csr_array(chain), labels)
