import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.composition import cluster_flow
from bionemo.geneformer_t.neighbors.quality.leakage import leakage
from bionemo.geneformer_t.report.figures.cluster_flow import (
    MOST_CLUSTERS,
    draw_heat_map,
    most_connected,
    short_name,
    short_names,
)
from bionemo.geneformer_t.report.figures.style import new_figure

CHAIN = NeighborGraph.from_matrix(sp.eye_array(100, k=1))[0]


def drawn(labels: list[str]):
    axes = new_figure().subplots()
    draw_heat_map(axes, cluster_flow(CHAIN, pd.Categorical(labels, categories=sorted(set(labels)))))
    return axes


def test_squares_carry_the_percentages_of_their_row() -> None:
    texts = [text.get_text() for text in drawn(["a"] * 50 + ["b"] * 49 + ["c"]).texts]
    assert texts == ["98", "2", "98", "2", "no successors"]


def test_of_many_clusters_those_with_most_edges_are_shown_in_their_order() -> None:
    labels = [f"{i // 2:02d}" for i in range(100)]
    flow = cluster_flow(CHAIN, pd.Categorical(labels))
    chosen = most_connected(flow)
    assert len(chosen) == MOST_CLUSTERS
    assert (np.diff(chosen) > 0).all()
    axes = drawn(labels)
    assert "20 clusters with fewer edges left out" in axes.get_title(loc="left")
    assert len(axes.get_yticklabels()) == MOST_CLUSTERS


def test_long_names_are_cut() -> None:
    assert short_name("a" * 40).endswith("a…")
    assert len(short_name("a" * 40)) == 18


def test_names_that_are_cut_stay_different() -> None:
    labels = [f"progenitors of the erythroid line, stage {i}" for i in (1, 2, 10)]
    assert short_names(labels) == ["…1", "…2", "…10"]
    assert short_names([*labels, "B cell"])[3] == "B cell"
    assert short_names(["x" * 30 + "a", "x" * 30 + "b", "x" * 30]) == ["…a", "…b", "…"]
    assert short_names(["a" * 40, "a" * 40]) == ["a" * 17 + "…"] * 2
    many = [f"{first} and a long common part {i}" for first in ("one", "two") for i in range(20)]
    assert short_names(many)[:2] == ["one an…0", "one an…1"]
    assert len(set(short_names(many))) == 40
    hard = ["same start" + "x" * i + "long" * 9 for i in range(3)] + ["y" * 40]
    assert len(set(short_names(hard))) == 4


def test_squares_of_leaks_are_framed() -> None:
    # a, b and c are far apart, and a chain of cells leads from each to the next
    labels = pd.Categorical(np.repeat(["a", "b", "c"], [40, 40, 20]))
    points = 100.0 * np.asarray(labels.codes)[:, None] + np.random.default_rng(0).normal(
        size=(100, 2)
    )
    leaks = leakage(CHAIN, points, labels, None, np.random.default_rng(0))
    axes = new_figure().subplots()
    draw_heat_map(axes, cluster_flow(CHAIN, labels), leaks)
    corners = [(round(p.get_x() + 0.47), round(p.get_y() + 0.47)) for p in axes.patches]
    assert sorted(corners) == [(1, 0), (2, 1)]
    assert axes.get_xlabel() == "framed: not connected by PAGA"
