"""Fit a kNN prediction: in which space, how many cells, how smooth, and the other distributions.

Space, number, width and weights are those of the lowest cross-entropy on held-out next cells. The
baseline of similar cells and the kNN memory of a model are both fitted here; they differ in the
points of the cells and in the other distributions of the mixture.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.mixture import best_mixture
from bionemo.geneformer_t.model.successor_index import SuccessorIndex

S = TypeVar("S", bound=Hashable)
"""What names a space, such as its number of axes."""

NUMBERS = (5, 15, 30, 60, 120, 240)
"""Numbers of similar cells that are tried."""
WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""


@dataclass(frozen=True, kw_only=True)
class Query(Generic[S]):
    """A held-out current cell: where similar cells are looked for, and what is to be found."""

    searches: Mapping[S, tuple[SuccessorIndex, Float[ndarray, " component"]]]
    """Of each space: training cells whose next cells are not held out, and the cell's own point."""
    itself: int | None
    """Its place in the index, where it is there itself."""
    ranks: Int[ndarray, " position"]
    """From 0."""
    genes: Int[ndarray, " position"]
    """What is there."""
    weights: Float[ndarray, " position"]
    """How much each position counts."""
    others: Float[ndarray, "position other"]
    """What each of the other distributions gives the gene; the last is positive everywhere."""


@dataclass(frozen=True, kw_only=True)
class KnnChoice(Generic[S]):
    """What was chosen."""

    space: S
    number: int
    """Similar cells."""
    width: float
    """Standard deviation of the smoothing, in ranks."""
    weights: tuple[float, ...]
    """Of the successors of similar cells, and of each of the others."""
    cross_entropy: float
    """Nats per held-out position."""


def index_of(
    pairs: CellPairs, targets: Sequence[Targets], points: Float[ndarray, "cell component"]
) -> SuccessorIndex:
    """The pairs' current cells with their next cells.

    Args:
        pairs: All pairs.
        targets: `pairs.targets()`.
        points: Of each current cell.
    """
    ids = iter(pairs.next_ids.tolist())
    names = [[next(ids) for _ in target.next_cells] for target in targets]
    genes_of = {
        name: genes
        for mine, target in zip(names, targets, strict=True)
        for name, genes in zip(mine, target.next_cells, strict=True)
    }
    return SuccessorIndex.of(points, names, [target.weights for target in targets], genes_of)


def fit_knn(
    queries: Sequence[Query[S]],
    numbers: Sequence[int] = NUMBERS,
    widths: Sequence[float] = WIDTHS,
) -> KnnChoice[S]:
    """Try all spaces, numbers and widths, each with its best weights.

    Args:
        queries: Held-out current cells; all have the same spaces.
        numbers: Numbers of similar cells; those beyond the smallest index are left out.
        widths: Standard deviations of the smoothing, in ranks.
    """
    fewest = min(len(index) for query in queries for index, _ in query.searches.values())
    numbers = [number for number in numbers if number <= fewest] or [fewest]
    found: dict[tuple[S, int, float], list[ndarray]] = {
        (space, number, width): []
        for space in queries[0].searches
        for number in numbers
        for width in widths
    }
    for query in queries:
        for space, (index, point) in query.searches.items():
            near = index.nearest(point, max(numbers), query.itself)
            tried = index.at(near, numbers, query.ranks, query.genes, widths)
            for width, rows in zip(widths, tried, strict=True):
                for number, probabilities in zip(numbers, rows, strict=True):
                    found[space, number, width].append(probabilities)
    other = np.concatenate([query.others for query in queries])

    def candidates() -> Iterator[tuple[tuple[S, int, float], Float[ndarray, "position component"]]]:
        for settings, local in found.items():
            yield settings, np.column_stack([np.concatenate(local), other])

    weights = np.concatenate([query.weights for query in queries])
    (space, number, width), mix, nats = best_mixture(candidates(), weights)
    return KnnChoice(space=space, number=number, width=width, weights=mix, cross_entropy=nats)
