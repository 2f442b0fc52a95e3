"""Cells of a simulated differentiation with known successors, and small graphs."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.expression_pca import expression_pca
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.simulation import Simulation, SimulationSettings, simulate


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate(SimulationSettings(num_cells=400, num_genes=200), np.random.default_rng(0))


@pytest.fixture(scope="session")
def simulated_facts(simulation: Simulation) -> CellFacts:
    everywhere = np.ones(len(simulation.branch), dtype=bool)
    names = np.array(simulation.programmes.tree.names)
    return CellFacts(
        representation=expression_pca(simulation.counts, everywhere, 20),
        time=simulation.pseudotime,
        cluster=pd.Categorical(names[simulation.branch], categories=list(names)),
    )


def build_graph(edges: list[tuple[int, int]], num_cells: int) -> NeighborGraph:
    rows, columns = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    matrix = sp.coo_array((np.ones(len(rows)), (rows, columns)), shape=(num_cells, num_cells))
    return NeighborGraph.from_matrix(matrix)[0]


@pytest.fixture(scope="session")
def graph_of() -> Callable[[list[tuple[int, int]], int], NeighborGraph]:
    """Makes a graph of edges with equal weights."""
    return build_graph


@pytest.fixture(scope="session")
def chain() -> NeighborGraph:
    """Ten cells, each followed by the next."""
    return build_graph([(i, i + 1) for i in range(9)], 10)


@pytest.fixture(scope="session")
def random_graph() -> NeighborGraph:
    """Five random successors for each of 400 cells."""
    successors = np.random.default_rng(1).integers(400, size=2000)
    rows = np.repeat(np.arange(400), 5)
    return build_graph(list(zip(rows.tolist(), successors.tolist(), strict=True)), 400)
