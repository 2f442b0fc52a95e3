"""The training split as baselines are fitted and tuned on it: all of it, and in folds.

Everything that a baseline chooses (axes, numbers, widths, weights) is chosen for cells that it did
not see, as it will be judged on such cells. So each fold holds out current cells together with next
cells: a current cell that helped to fit the axes is nearer to them than any cell that is judged.
All baselines are tuned on the same positions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_counts import (
    CountedPositions,
    RankFrequency,
    SparseCounts,
    fit_frequencies,
    tune_rank_frequency,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    Targets,
    draw_positions,
    require_next_cells,
)

NUM_FOLDS = 5
MAX_CELLS = 4000
"""Current cells that are fitted; more change a frequency little."""
MAX_HELD_OUT = 200
"""Current cells on which baselines are tuned, in all folds together."""
MAX_POSITIONS = 200
"""Positions of the next cells of each of them, in all next cells together."""

Redraw = Callable[[CellPairs, Int[ndarray, " cell"]], CellPairs]
"""Pairs, and rows of next cells that are held out -> the pairs with next cells drawn anew, on which
the held-out ones have no influence."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A current cell, and some positions of its next cells, on which settings are chosen."""

    target: Targets
    ranks: Int[ndarray, " position"]
    """From 0."""
    genes: Int[ndarray, " position"]
    """What is there."""
    weights: Float[ndarray, " position"]
    """How much each position counts."""
    frequency: Float[ndarray, " position"]
    """The gene's probability by the tuned rank frequencies of the fold's fitted pairs."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Pairs to fit on, and cells that are in none of them to tune on."""

    fitted: CellPairs
    drawn: CellPairs | None
    """The fitted pairs with next cells drawn anew, where the model learned from such cells."""
    held_out: tuple[HeldOut, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingPairs:
    """The training split, its folds, and the frequencies that other baselines mix in."""

    all: CellPairs
    """What baselines are fitted on in the end, up to `MAX_CELLS` current cells."""
    all_drawn: CellPairs | None
    """The same with next cells drawn anew, where the model learned from such cells."""
    folds: tuple[Fold, ...]
    """What they are tuned on."""
    frequencies: RankFrequency
    """Of `all`."""

    @classmethod
    def of(
        cls, pairs: CellPairs, rng: np.random.Generator, redraw: Redraw | None = None
    ) -> "TrainingPairs":
        """Split in folds, and tune the frequencies on them.

        Args:
            pairs: Of the training split.
            rng: Draws cells, folds and positions.
            redraw: Draws next cells anew, where the model learned from such cells.

        Raises:
            ValueError: There are fewer than two next cells.
        """
        pairs = pairs.draw_cells(MAX_CELLS, rng).cached()
        splits = split_in_folds(pairs, rng)
        drawn = [
            [(target, *_some_positions(target, rng)) for target in some.targets()]
            for some in (
                held.draw_cells(-(-MAX_HELD_OUT // len(splits)), rng) for _, held in splits
            )
        ]
        counts = [SparseCounts.of(fitted) for fitted, _ in splits]
        width, mix = tune_rank_frequency(
            [
                CountedPositions(
                    count, *(np.concatenate([cell[k] for cell in cells]) for k in (1, 2, 3))
                )
                for count, cells in zip(counts, drawn, strict=True)
            ],
            pairs.gene_ids,
        )
        return cls(
            all=pairs,
            all_drawn=redraw(pairs, np.array([], dtype=np.int64)) if redraw else None,
            folds=tuple(
                Fold(
                    fitted=fitted,
                    drawn=redraw(fitted, np.unique(held.following)) if redraw else None,
                    held_out=tuple(
                        HeldOut(
                            target=target,
                            ranks=ranks,
                            genes=genes,
                            weights=weights,
                            frequency=count.parts_at(ranks, genes, width, pairs.gene_ids)
                            @ np.array(mix),
                        )
                        for target, ranks, genes, weights in cells
                    ),
                )
                for (fitted, held), count, cells in zip(splits, counts, drawn, strict=True)
            ),
            frequencies=fit_frequencies(pairs, width, mix),
        )

    def held_out(self) -> list[HeldOut]:
        """All cells that are held out of one fold or another."""
        return [cell for fold in self.folds for cell in fold.held_out]


def split_in_folds(
    pairs: CellPairs, rng: np.random.Generator, number: int = NUM_FOLDS
) -> list[tuple[CellPairs, CellPairs]]:
    """Pairs to fit on and pairs to tune on, which share neither current nor next cells.

    Current cells are dealt to folds at random, and a next cell goes to the fold that most of its
    current cells are in. Pairs between folds are in neither part. Where the cells are too few for
    that, only next cells are held out.

    Raises:
        ValueError: There are fewer than two next cells.
    """
    _, next_of = np.unique(pairs.following, return_inverse=True)
    num_next = int(next_of.max(initial=-1)) + 1
    require_next_cells(num_next)
    _, current_of = np.unique(pairs.current, return_inverse=True)
    num_current = int(current_of.max()) + 1
    number = min(number, num_next)
    mine = rng.permutation(np.arange(num_current) % min(number, num_current))[current_of]
    votes = 1e-6 * rng.random((num_next, number))  # for ties
    np.add.at(votes, (next_of, mine), pairs.weights)
    theirs = votes.argmax(axis=1)[next_of]
    found = [
        ((mine != fold) & (theirs != fold), (mine == fold) & (theirs == fold))
        for fold in range(number)
    ]
    if not any(map(_is_usable, found)):
        theirs = rng.permutation(np.arange(num_next) % number)[next_of]
        found = [(theirs != fold, theirs == fold) for fold in range(number)]
    return [(pairs.keep(fit), pairs.keep(held)) for fit, held in filter(_is_usable, found)]


def _is_usable(fold: tuple[Bool[ndarray, " pair"], Bool[ndarray, " pair"]]) -> bool:
    return all(part.any() for part in fold)


def _some_positions(
    target: Targets, rng: np.random.Generator
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    return draw_positions(target, rng, max(1, MAX_POSITIONS // len(target.next_cells)))
