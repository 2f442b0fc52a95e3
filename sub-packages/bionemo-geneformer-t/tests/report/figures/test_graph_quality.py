"""A picture is drawn from whatever was measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.image import imread

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.report.figures.graph_map import graph_map
from bionemo.geneformer_t.report.figures.graph_quality import (
    Pictured,
    degree_limits,
    graph_quality_figure,
)
from bionemo.geneformer_t.report.figures.style import save

GRAPH = NeighborGraph.from_matrix(sp.eye_array(60, k=1) + sp.eye_array(60, k=3))[0]
EMPTY = NeighborGraph.from_matrix(sp.csr_array((60, 60)))[0]
FACTS = CellFacts(
    representation=np.random.default_rng(0).normal(size=(60, 4)),
    time=np.where(np.arange(60) == 5, np.nan, np.arange(60) // 20 + 0.0),
    cluster=pd.Categorical(np.repeat(["a", "b", "c"], 20)),
)


@pytest.mark.parametrize(
    ("graph", "facts"),
    [
        (GRAPH, FACTS),
        (GRAPH, replace(FACTS, time=np.arange(60.0))),
        (GRAPH, replace(FACTS, time=None, cluster=None)),
        (GRAPH, CellFacts()),
        (EMPTY, FACTS),
    ],
    ids=["all", "continuous time", "points only", "nothing known", "no edges"],
)
@pytest.mark.slow
def test_what_was_measured_is_drawn(graph, facts, tmp_path) -> None:
    generator = np.random.default_rng(0)
    pictured = Pictured(
        title="next_cell_ids, train",
        graph=graph,
        quality=graph_quality(graph, facts, generator),
        facts=facts,
        where=graph_map(facts.representation, {}, generator),
    )
    path = save(graph_quality_figure(pictured), tmp_path / "new" / "graph.png")
    assert imread(path).shape[1] > 800


@pytest.mark.parametrize(
    ("maximum", "limits"),
    [
        (0, [0, 1]),
        (4, [0, 1, 2, 3, 4, 5]),
        (13, [0, 1, 2, 3, 5, 9, 17]),
        (17, [0, 1, 2, 3, 5, 9, 17, 33]),
    ],
)
def test_bins_of_degrees_hold_the_largest(maximum: int, limits: list[int]) -> None:
    assert degree_limits(maximum).tolist() == limits
