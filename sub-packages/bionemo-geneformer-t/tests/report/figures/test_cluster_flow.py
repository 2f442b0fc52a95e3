import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.composition import cluster_flow
from bionemo.geneformer_t.report.figures.cluster_flow import (
    MOST_CLUSTERS,
    draw_heat_map,
    most_connected,
    short_name,
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
