"""Successors without a direction: the most similar cells.

The neighbors are those that scanpy's `pp.neighbors` finds (Wolf et al., 2018, Genome Biology) with
the Euclidean metric: exact for few cells, nearly so for many.
"""

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.nearest import closeness, nearest_others
from bionemo.geneformer_t.neighbors.successor_lists import graph_of_rows


def knn_neighbors(cells: Cells, settings: BuilderSettings) -> Built:
    """Link every cell to its nearest other cells, or to all others where they are fewer.

    Raises:
        ValueError: `num_neighbors` is not positive, or there is only one cell.
    """
    found, distances = nearest_others(cells.points, settings.num_neighbors)
    return graph_of_rows(found, closeness(distances)), []
