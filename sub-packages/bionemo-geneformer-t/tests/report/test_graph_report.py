"""The report is written whole, as plain JSON, the same every time."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.figures import graph_map
from bionemo.geneformer_t.report.graph_report import (
    REPORT,
    SplitGraphs,
    picture_name,
    write_graph_report,
)

GRAPHS = {
    "next_cell_ids": NeighborGraph.from_matrix(sp.eye_array(30, k=1))[0],
    "knn_neighbors": NeighborGraph.from_matrix(sp.eye_array(30, k=1) + sp.eye_array(30, k=-1))[0],
    "empty": NeighborGraph.from_matrix(sp.csr_array((30, 30)))[0],
}
FACTS = CellFacts(
    representation=np.column_stack([np.arange(30.0), np.ones(30)]),
    time=np.where(np.arange(30) == 7, np.nan, np.arange(30.0)),
    batch=pd.Categorical(["a", "b"] * 15),
    cluster=pd.Categorical(np.repeat(["x", "y", "z"], 10), categories=["x", "y", "z", "none"]),
)


def write(folder, seed=0, *, pictures=False):
    splits = {"train": SplitGraphs(graphs=GRAPHS, facts=FACTS, dropped={"empty": {"loop": 3}})}
    return write_graph_report(folder, splits, np.random.default_rng(seed), pictures=pictures)


def test_json_holds_every_graph_without_nan(tmp_path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    write(tmp_path)
    text = (tmp_path / REPORT).read_text()
    graphs = json.loads(text, parse_constant=refuse)["graphs"]
    assert set(graphs) == set(GRAPHS)
    for found in graphs.values():
        clusters = found["train"]["clusters"]
        for row in clusters["shares"]:
            assert np.isclose(sum(row), 1) or sum(row) == 0
    assert graphs["empty"]["train"]["warnings"] == [
        {"kind": "empty", "sentence": "The graph has no edges: there is nothing to train on."}
    ]
    assert graphs["empty"]["train"]["dropped"] == {"loop": 3}
    assert graphs["knn_neighbors"]["train"]["reciprocity"]["edges"] == 1


def test_the_report_depends_on_the_generator_alone(tmp_path) -> None:
    assert write(tmp_path / "a") == write(tmp_path / "b")
    assert (tmp_path / "a" / REPORT).read_text() == (tmp_path / "b" / REPORT).read_text()
    write(tmp_path / "c", seed=1)
    assert (tmp_path / "a" / REPORT).read_text() != (tmp_path / "c" / REPORT).read_text()


def test_the_table_names_graphs_and_warns(tmp_path) -> None:
    text = write(tmp_path)
    assert "next_cell_ids  train" in text
    assert "warning: knn_neighbors, train:" in text


@pytest.mark.slow
def test_each_graph_has_a_picture(tmp_path) -> None:
    write(tmp_path, pictures=True)
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {f"{key}_train.png" for key in GRAPHS}


@pytest.mark.parametrize(
    ("widths", "same_axes", "computed"),
    [((2, 2), True, [60]), ((2, 2), False, [30, 30]), ((2, 3), True, [30, 30])],
)
def test_splits_share_a_map_where_their_axes_are_the_same(
    tmp_path, monkeypatch, widths, same_axes, computed
) -> None:
    asked = []

    def first_two(points, seed, few):
        asked.append(len(points))
        return "first two", points[:, :2]

    monkeypatch.setattr(graph_map, "in_two_dimensions", first_two)
    graphs = {"next_cell_ids": GRAPHS["next_cell_ids"]}
    splits = {
        name: SplitGraphs(
            graphs=graphs,
            facts=CellFacts(representation=np.random.default_rng(0).normal(size=(30, width))),
        )
        for name, width in zip(("train", "val"), widths, strict=True)
    }
    write_graph_report(tmp_path, splits, np.random.default_rng(0), same_axes=same_axes)
    assert asked == computed
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"next_cell_ids_train.png", "next_cell_ids_val.png"}


def test_pictures_are_named_after_keys_with_any_signs() -> None:
    assert picture_name("T_fwd/velo city", "val") == "T_fwd_velo_city_val.png"
