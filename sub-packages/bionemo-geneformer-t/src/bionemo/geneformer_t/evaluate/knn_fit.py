"""Fit a look-up of similar cells: how many, how smooth, and how much it counts beside the others.

Number, width and weights are the ones under which the genes of held-out next cells are likeliest.
The baseline of similar cells and the memory of a model are both fitted here; they differ in where
cells lie and in what is mixed with what is found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.mixture import cross_entropy, mixture_weights
from bionemo.geneformer_t.model.successor_index import Library

NUMBERS = (5, 15, 30, 60, 120, 240)
"""How many similar cells are tried."""
WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""
POSITIONS_PER_CELL = 100
"""Positions of each held-out next cell that are looked at."""

Others = Callable[[Targets, ndarray, ndarray], Float[ndarray, "position other"]]
"""(a current cell, ranks from 0, genes) -> what each of the other distributions gives them; the
last is positive everywhere."""


@dataclass(frozen=True, kw_only=True)
class LookUp:
    """What was chosen."""

    number: int
    """Similar cells."""
    width: float
    """Standard deviation of the smoothing, in ranks."""
    weights: tuple[float, ...]
    """Of what is found, and of each of the others."""
    cross_entropy: float
    """Nats per held-out position."""


def library_of(
    pairs: CellPairs, targets: Sequence[Targets], points: Float[ndarray, "cell component"]
) -> Library:
    """The pairs' current cells with their next cells.

    Args:
        pairs: All pairs.
        targets: `pairs.targets()`.
        points: Where each current cell lies.
    """
    edges = iter(range(pairs.num_pairs))
    # a policy other than `identity` makes a next cell's genes depend on the current cell
    names = [
        [int(pairs.following[e]) if pairs.policy == "identity" else e for e in _take(edges, target)]
        for target in targets
    ]
    genes_of = {
        name: genes
        for mine, target in zip(names, targets, strict=True)
        for name, genes in zip(mine, target.next_cells, strict=True)
    }
    return Library.of(points, names, [target.weights for target in targets], genes_of)


def fit_look_up(
    library: Library,
    asked: Sequence[Targets],
    points: Float[ndarray, "asked component"],
    but_not: Sequence[int | None],
    others: Others,
    generator: np.random.Generator,
) -> LookUp:
    """Try all numbers and widths, each with its best weights.

    Args:
        library: Where to look.
        asked: Current cells whose next cells are not in the library.
        points: Where they lie.
        but_not: The place of each in the library, where it is there itself.
        others: What is mixed with what is found.
        generator: Chooses the positions that are looked at.
    """
    numbers = [n for n in NUMBERS if n <= len(library)] or [len(library)]
    found: dict[tuple[int, float], list[ndarray]] = {key: [] for key in product(numbers, WIDTHS)}
    rest, all_weights = [], []
    for target, point, itself in zip(asked, points, but_not, strict=True):
        ranks, genes, weights = _positions(target, generator)
        rest.append(others(target, ranks, genes))
        all_weights.append(weights)
        near = library.nearest(point, max(numbers), itself)
        for number in numbers:
            tried = library.at(near[:number], ranks, genes, WIDTHS)
            for width, probabilities in zip(WIDTHS, tried, strict=True):
                found[number, width].append(probabilities)
    other, weights = np.concatenate(rest), np.concatenate(all_weights)
    candidates = []
    for (number, width), local in found.items():
        parts = np.column_stack([np.concatenate(local), other]).astype(np.float64)
        mix = mixture_weights(parts, weights)
        nats = cross_entropy(parts, weights, mix)
        candidates.append(
            LookUp(number=number, width=width, weights=tuple(mix.tolist()), cross_entropy=nats)
        )
    return min(candidates, key=lambda one: one.cross_entropy)


def _take(edges: Iterator[int], target: Targets) -> list[int]:
    return [next(edges) for _ in target.next_cells]


def _positions(
    target: Targets, generator: np.random.Generator
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    """Ranks, genes and weights of some positions of each next cell."""
    ranks, genes, weights = [], [], []
    for cell, weight in zip(target.next_cells, target.weights, strict=True):
        number = min(POSITIONS_PER_CELL, len(cell))
        chosen = generator.choice(len(cell), number, replace=False)
        ranks.append(chosen)
        genes.append(cell[chosen])
        weights.append(np.full(number, weight * len(cell) / max(number, 1)))
    return np.concatenate(ranks), np.concatenate(genes), np.concatenate(weights)
