"""A map of the cells of a graph that stays legible, and quick to compute, for a million cells.

At most `MOST_CELLS` cells are drawn. A map that the file brings has a place for all cells; one that
has to be computed is computed for those that are drawn, and another cell is placed at the drawn
cell that it resembles most. Splits whose coordinates have the same axes share one map, which takes
a third of the time of three and shows them side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import nearest
from bionemo.geneformer_t.neighbors.quality.edge_blocks import edges_of
from bionemo.geneformer_t.report.figures.cell_map import MAPS, in_two_dimensions

MOST_CELLS = 5_000
"""Cells that are drawn on one map."""
_FEW = 100
"""Up to so many cells a UMAP shows no more than two components do."""


@dataclass(frozen=True, kw_only=True)
class GraphMap:
    """Where cells are drawn."""

    name: str
    """What the coordinates are."""
    num_cells: int
    """All cells, drawn or not."""
    drawn: Int[ndarray, " drawn_cell"]
    """The cells that are drawn, ascending."""
    coordinates: Float[ndarray, "drawn_cell 2"]
    points: Float[ndarray, "cell component"]
    """The place of every cell; in expression space where the map is of the drawn cells only."""
    is_complete: bool
    """Whether `points` are places on the map."""

    def places(self, cells: Int[ndarray, " some"]) -> Float[ndarray, "some 2"]:
        """Where cells are, or the drawn cells that they resemble most."""
        if self.is_complete:
            return self.points[cells]
        distinct, which = np.unique(cells, return_inverse=True)
        found = np.minimum(np.searchsorted(self.drawn, distinct), len(self.drawn) - 1)
        others = np.flatnonzero(self.drawn[found] != distinct)
        if len(others):
            resembling, _ = nearest(self.points[distinct[others]], self.points[self.drawn], 1)
            found[others] = resembling[:, 0]
        return self.coordinates[found[which]]


def shared_map(
    representations: Mapping[str, Float[ndarray, "cell component"]],
    generator: np.random.Generator,
) -> dict[str, GraphMap]:
    """One computed map for several splits, of each of which a part of the drawn cells are.

    Args:
        representations: Name of each split and the coordinates of its cells, on the same axes.
        generator: Chooses the cells that are drawn, and a seed for UMAP.
    """
    numbers = _dealt({name: len(points) for name, points in representations.items()})
    drawn = {
        name: some_of(len(points), numbers[name], generator)
        for name, points in representations.items()
    }
    seed = int(generator.integers(2**31))
    every = np.concatenate([points[drawn[name]] for name, points in representations.items()])
    map_name, coordinates = in_two_dimensions(every, seed, _FEW)
    ends = np.cumsum([len(cells) for cells in drawn.values()])[:-1]
    return {
        name: GraphMap(
            name=map_name,
            num_cells=len(points),
            drawn=drawn[name],
            coordinates=part,
            points=points,
            is_complete=False,
        )
        for (name, points), part in zip(
            representations.items(), np.split(coordinates, ends), strict=True
        )
    }


def map_of_file(obsm: Mapping[str, ndarray]) -> str | None:
    """The first of `MAPS` that a file brings; None where it has to be computed."""
    return next((key for key in MAPS if key in obsm and obsm[key].shape[1] >= 2), None)


def graph_map(
    representation: Float[ndarray, "cell component"] | None,
    obsm: Mapping[str, ndarray],
    generator: np.random.Generator,
) -> GraphMap | None:
    """The map of a split; None where there is neither a map nor a representation.

    Args:
        representation: Coordinates to compute a map from.
        obsm: What the file brings; the first of `MAPS` in it is used.
        generator: Chooses the cells that are drawn, and a seed for UMAP.
    """
    key = map_of_file(obsm)
    if key is not None:
        points = np.asarray(obsm[key], dtype=np.float64)[:, :2]
        drawn = some_of(len(points), MOST_CELLS, generator)
        name, coordinates = MAPS[key], points[drawn]
    elif representation is not None:
        points, drawn = representation, some_of(len(representation), MOST_CELLS, generator)
        seed = int(generator.integers(2**31))
        name, coordinates = in_two_dimensions(points[drawn], seed, _FEW)
    else:
        return None
    return GraphMap(
        name=name,
        num_cells=len(points),
        drawn=drawn,
        coordinates=coordinates,
        points=points,
        is_complete=key is not None,
    )


def steps_on_map(
    graph: NeighborGraph, where: GraphMap
) -> tuple[Float[ndarray, "current_cell 2"], Float[ndarray, "current_cell 2"]]:
    """Where drawn cells with successors are, and the mean place to which a step takes them."""
    has_successors = graph.out_degree[where.drawn] > 0
    current = where.drawn[has_successors]
    edges = edges_of(graph, current)
    ends = np.zeros((len(current), 2))
    places = edges.probability[:, None] * where.places(edges.successor)
    np.add.at(ends, np.searchsorted(current, edges.current), places)
    return where.coordinates[has_successors], ends


def some_of(size: int, most: int, generator: np.random.Generator) -> Int[ndarray, " chosen"]:
    """The rows of a sample of that size at most, ascending; all rows where they are few."""
    if size <= most:
        return np.arange(size)
    return np.sort(generator.choice(size, most, replace=False))


def _dealt(sizes: Mapping[str, int]) -> dict[str, int]:
    """How many cells of each split are drawn: all of small ones, as many of the others."""
    left, numbers = MOST_CELLS, {}
    by_size = sorted(sizes, key=lambda name: sizes[name])
    for place, name in enumerate(by_size):
        numbers[name] = min(sizes[name], left // (len(by_size) - place))
        left -= numbers[name]
    return numbers
