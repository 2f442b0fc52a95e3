"""Any neighbors.json: the graph that it says, with everything left out counted, or a refusal."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import result_or_refusal

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.successors import NEIGHBORS, read_successors

KEY = "next_cell_ids"
CELLS = [f"c{i}" for i in range(5)]
IDS = st.sampled_from(CELLS)
WEIGHTS = st.integers(0, 3) | st.floats(0, 10, allow_subnormal=False)
RIGHT = st.dictionaries(IDS, st.lists(IDS, max_size=12) | st.dictionaries(IDS, WEIGHTS))
ODD = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", "", "é", "c1"])
)
WRONG = st.dictionaries(
    IDS | st.sampled_from(["x", ""]),
    st.lists(IDS | ODD, max_size=4) | st.dictionaries(IDS | st.just("x"), ODD, max_size=4) | ODD,
)


@pytest.fixture
def split(write_split):
    return write_split()


def read(split, content):
    path = split / NEIGHBORS
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_successors(split, CellStore.open(split), KEY)


@pytest.fixture(scope="module")
def five_cells(tmp_path_factory):
    import anndata
    import pandas as pd

    split = tmp_path_factory.mktemp("split")
    cells = anndata.AnnData(
        sp.csr_matrix(np.eye(5, dtype=np.float32)),
        obs=pd.DataFrame(index=CELLS),
        var=pd.DataFrame(index=[f"g{i}" for i in range(5)]),
    )
    cells.write_h5ad(split / "data.h5ad")
    return split, CellStore.open(split, split / "cache")


@settings(max_examples=60)
@given(listed=RIGHT)
def test_every_edge_is_in_the_graph_or_counted_as_left_out(five_cells, listed):
    split, store = five_cells
    (split / NEIGHBORS).write_text(json.dumps({KEY: listed}))
    graph, dropped = read_successors(split, store, KEY)
    edges = {
        (int(cell[1]), int(successor[1])): weight
        for cell, successors in listed.items()
        for successor, weight in (
            successors.items() if isinstance(successors, dict) else dict.fromkeys(successors, 1.0)
            .items()
        )
        if weight > 0 and successor != cell
    }  # fmt: skip
    matrix = graph.to_matrix().tocoo()
    found = dict(zip(zip(matrix.row.tolist(), matrix.col.tolist(), strict=True),
                     matrix.data.tolist(), strict=True))  # fmt: skip
    assert found == edges
    assert graph.num_edges + sum(dropped.values()) == sum(map(len, listed.values()))


@settings(max_examples=100)
@given(content=st.one_of(WRONG.map(lambda listed: {KEY: listed}), ODD, st.lists(ODD),
                         ODD.map(lambda value: {KEY: value})))  # fmt: skip
def test_anything_else_is_right_or_refused_by_file(five_cells, content):
    split, store = five_cells
    path = split / NEIGHBORS
    path.write_text(json.dumps(content))
    if content == {} or (isinstance(content, dict) and KEY not in content):
        return
    found = result_or_refusal(lambda: read_successors(split, store, KEY), path)
    if found is not None:
        graph, dropped = found
        listed = sum(map(len, content[KEY].values()))
        assert graph.num_edges + sum(dropped.values()) == listed


def test_a_cell_that_is_listed_twice_is_refused(split):
    store = CellStore.open(split)
    text = '{"next_cell_ids": {"c0": ["c1"], "c2": ["c3"], "c0": ["c4"]}}'
    (split / NEIGHBORS).write_text(text)
    with pytest.raises(ValueError, match=r"neighbors\.json holds the name 'c0' twice"):
        read_successors(split, store, KEY)


def test_a_weight_beyond_all_floats_is_refused(split):
    with pytest.raises(ValueError, match=r"neighbors\.json: 'next_cell_ids': weights must be fin"):
        read(split, {KEY: {"c0": {"c1": 10**400}}})


def test_a_cell_with_very_many_entries_keeps_one_of_each(split):
    graph, dropped = read(split, {KEY: {"c0": CELLS * 20_000}})
    assert graph.num_edges == 4
    assert dropped == {"duplicate": 99_995, "self-loop": 1, "zero weight": 0}


@pytest.mark.slow
def test_a_million_edges_are_all_read(tmp_path, write_split):
    num_cells = 50_000
    split = write_split(sp.csr_matrix(np.ones((num_cells, 1), dtype=np.float32)))
    listed = {f"c{i}": [f"c{(i + k) % num_cells}" for k in range(1, 21)] for i in range(num_cells)}
    graph, dropped = read(split, {KEY: listed})
    assert graph.num_edges == 1_000_000
    assert not any(dropped.values())
    assert (graph.out_degree == 20).all()
