"""Fit a kNN prediction: how many cells, how smooth, and the weights of other distributions.

Number, width and weights are those of the lowest cross-entropy on held-out next cells. The baseline
of similar cells and the kNN memory of a model are both fitted here; they differ in the points of
the cells and in the other distributions of the mixture.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.mixture import best_mixture
from bionemo.geneformer_t.model.successor_index import SuccessorIndex

NUMBERS = (5, 15, 30, 60, 120, 240)
"""Numbers of similar cells that are tried."""
WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""
POSITIONS_PER_CELL = 100
"""Positions of each held-out next cell that are scored."""

Others = Callable[[Targets, ndarray, ndarray], Float[ndarray, "position other"]]
"""(a current cell, ranks from 0, genes) -> what each of the other distributions gives them; the
last is positive everywhere."""


@dataclass(frozen=True, kw_only=True)
class KnnChoice:
    """What was chosen."""

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
    index: SuccessorIndex,
    held_out: Sequence[Targets],
    points: Float[ndarray, "held_out component"],
    excluded: Sequence[int | None],
    others: Others,
    rng: np.random.Generator,
) -> KnnChoice:
    """Try all numbers and widths, each with its best weights.

    Args:
        index: Training cells.
        held_out: Current cells whose next cells are not in the index.
        points: Of these cells.
        excluded: The place of each in the index, where it is there itself.
        others: The other distributions of the mixture.
        rng: Draws the positions that are scored.
    """
    numbers = [n for n in NUMBERS if n <= len(index)] or [len(index)]
    found: dict[tuple[int, float], list[ndarray]] = {(n, w): [] for n in numbers for w in WIDTHS}
    rest, all_weights = [], []
    for target, point, itself in zip(held_out, points, excluded, strict=True):
        ranks, genes, weights = _some_positions(target, rng)
        rest.append(others(target, ranks, genes))
        all_weights.append(weights)
        near = index.nearest(point, max(numbers), itself)
        for number in numbers:
            tried = index.at(near[:number], ranks, genes, WIDTHS)
            for width, probabilities in zip(WIDTHS, tried, strict=True):
                found[number, width].append(probabilities)
    other = np.concatenate(rest)

    def candidates() -> Iterator[tuple[tuple[int, float], Float[ndarray, "position component"]]]:
        for settings, local in found.items():
            yield settings, np.column_stack([np.concatenate(local), other])

    (number, width), mix, nats = best_mixture(candidates(), np.concatenate(all_weights))
    return KnnChoice(number=number, width=width, weights=mix, cross_entropy=nats)


def _some_positions(
    target: Targets, rng: np.random.Generator
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    """Ranks, genes and weights of some positions of each next cell."""
    ranks, genes, weights = [], [], []
    for cell, weight in zip(target.next_cells, target.weights, strict=True):
        number = min(POSITIONS_PER_CELL, len(cell))
        chosen = rng.choice(len(cell), number, replace=False)
        ranks.append(chosen)
        genes.append(cell[chosen])
        weights.append(np.full(number, weight * len(cell) / max(number, 1)))
    return np.concatenate(ranks), np.concatenate(genes), np.concatenate(weights)
