"""Training pairs whose next cells are drawn anew, and whether that helps to predict measured cells.

A kNN memory of drawn cells is one of their expression instead of their counting noise. Whether the
draws describe the data is a question about held-out cells, so it is decided on them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.resampling import MAX_COPIES, CellResampler, several
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.baselines.knn_successors import index_by_profile
from bionemo.geneformer_t.evaluate.baselines.profile_space import NUM_COMPONENTS
from bionemo.geneformer_t.evaluate.baselines.training_folds import Redraw
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets, draw_positions
from bionemo.geneformer_t.evaluate.knn_fit import Query, fit_knn

NUMBERS = (0, 10, 20, 40)
"""Values of `resampling_neighbors` that are compared; 0 keeps the measured cells."""
SIMILAR = (15, 60)
"""Similar current cells whose next cells are counted, in the comparison."""
WIDTHS = (8.0, 32.0, 128.0)
"""Standard deviations of smoothing over ranks, in the comparison."""
HELD_OUT = 0.2
"""Fraction of the next cells that are predicted."""
MAX_CELLS = 2_000
"""Current cells that are compared."""
MAX_HELD_OUT = 60
"""Current cells whose next cells are predicted."""
COPIES = 3
"""Draws of each next cell, in the comparison."""
POSITIONS = 50
"""Positions of each of these next cells that are predicted."""


def resampled(
    pairs: CellPairs, resampler: CellResampler, seed: int, most: int = MAX_COPIES
) -> CellPairs:
    """Each pair as several, whose next cells are drawn anew.

    Rows of drawn cells are numbered after those of the measured ones.

    Args:
        pairs: Their next cells are in the pool of the resampler.
        resampler: Draws.
        seed: Of the draws.
        most: Draws of each next cell.
    """
    next_cells, place = np.unique(pairs.following, return_inverse=True)
    of, keys = several(next_cells, seed, most)
    draws, copies = resampler.draw(of, keys), len(of) // len(next_cells)
    first = int(max(pairs.current.max(), next_cells.max())) + 1
    drawn = first + place[:, None] * copies + np.arange(copies)

    def encode(cell: int) -> Int[ndarray, " _"]:
        return draws[cell - first] if cell >= first else pairs.encode(cell)

    return replace(
        pairs,
        encode=encode,
        current=np.repeat(pairs.current, copies),
        following=drawn.ravel(),
        weights=np.repeat(pairs.weights / copies, copies),
        measured=np.repeat(pairs.following, copies),
    )


def redrawing(dataset: TemporalGeneformerDataset, trained: PairSettings) -> Redraw | None:
    """Draws next cells of the training split anew, as for a model; None where it saw no draws.

    Cells that are held out are in no average. Where fewer than `resampling_neighbors` are left, all
    are averaged.

    Args:
        dataset: The training split.
        trained: How the model's pairs were made in training.
    """
    if not trained.resampling_neighbors:
        return None

    def redraw(pairs: CellPairs, unseen: Int[ndarray, " cell"]) -> CellPairs:
        pool = _pool(dataset, unseen)
        number = min(trained.resampling_neighbors, len(pool))
        resampler = CellResampler(dataset.tokens, pool, number)
        return resampled(pairs, resampler, trained.seed).cached()

    return redraw


def _pool(
    dataset: TemporalGeneformerDataset, unseen: Int[ndarray, " cell"]
) -> Int[ndarray, " pool"]:
    """Rows of the cells that have genes, without some."""
    has_genes = np.asarray(dataset.tokens.num_genes) > 0
    return np.setdiff1d(np.flatnonzero(has_genes), unseen)


def compare_resampling(
    dataset: TemporalGeneformerDataset,
    rng: np.random.Generator,
    numbers: Sequence[int] = NUMBERS,
) -> dict[int, float]:
    """Nats per held-out position of the training split, for each of some `resampling_neighbors`.

    Similar current cells vote with their next cells, measured or drawn anew. The held-out next
    cells take no part in the draws.

    Args:
        dataset: Training cells.
        rng: Holds next cells out, and draws the positions that are predicted.
        numbers: The values to compare; those above the number of cells are left out.
    """
    pairs = CellPairs.from_dataset(dataset).draw_cells(MAX_CELLS, rng).cached()
    fitted, held_out = pairs.hold_out(HELD_OUT, rng)
    asked = list(held_out.draw_cells(MAX_HELD_OUT, rng).targets())
    drawn_positions = [draw_positions(target, rng, POSITIONS) for target in asked]
    pool = _pool(dataset, held_out.following)
    found = {}
    for number in (number for number in numbers if number <= len(pool)):
        drawn = fitted
        if number:
            resampler = CellResampler(dataset.tokens, pool, number)
            drawn = resampled(fitted, resampler, dataset.settings.seed, COPIES).cached()
        found[number] = _cross_entropy(drawn, asked, drawn_positions)
    return found


def _cross_entropy(
    fitted: CellPairs, asked: Sequence[Targets], drawn_positions: Sequence[tuple[ndarray, ...]]
) -> float:
    """Of held-out next cells under the next cells of similar current cells, best mixture."""
    space, index = index_by_profile(fitted, NUM_COMPONENTS)
    place_of = {int(cell): place for place, cell in enumerate(fitted.cells)}
    points = space.points([target.context for target in asked])
    queries = []
    for target, point, (ranks, genes, weights) in zip(asked, points, drawn_positions, strict=True):
        queries.append(
            Query(
                searches={"": (index, point)},
                itself=place_of.get(target.cell),
                ranks=ranks,
                genes=genes,
                weights=weights,
                others=np.full((len(ranks), 1), 1 / len(fitted.gene_ids)),
            )
        )
    return fit_knn(queries, SIMILAR, WIDTHS).cross_entropy
