"""Fit the kNN memory of a trained model: its training cells, weighted on validation cells.

Where the model has canonical axes, three ways to find training cells are compared, and the one with
the lowest cross-entropy on validation cells stays: by hidden states, by where the next cells of
current cells are expected, and by where next cells are (`model/knn_memory.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    Targets,
    draw_positions,
)
from bionemo.geneformer_t.evaluate.knn_fit import Query, fit_knn, index_of
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.knn_memory import (
    CANONICAL,
    HIDDEN,
    NEXT,
    KnnInterpolation,
    Mixing,
    Space,
)
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.successor_index import SuccessorIndex
from bionemo.geneformer_t.ragged import Ragged

MAX_CELLS = 20_000
"""Training cells that are indexed, drawn at random where there are more."""
MAX_HELD_OUT = 200
"""Validation cells on which the mixture is chosen."""
FEW_WIDTHS = (4.0, 32.0, 256.0)
"""Standard deviations in ranks with which the space is chosen."""
_AT_ONCE = 32


def fit_memory(
    model: NextCellModel,
    training: CellPairs,
    validation: CellPairs,
    rng: np.random.Generator,
) -> KnnInterpolation:
    """Training cells, found by similarity to a current cell or to its expected next cell.

    Args:
        model: Trained, in evaluation mode, without a memory.
        training: Pairs to index.
        validation: Pairs of cells that the weights were not fitted to.
        rng: Draws cells and positions where there are many.
    """
    assert model.memory is None
    training = training.draw_cells(MAX_CELLS, rng).cached()
    kept = list(training.targets())
    held_out = list(validation.draw_cells(MAX_HELD_OUT, rng).targets())
    gene_ids = model.required_vocab().gene_ids

    indices, points = _searches(model, training, kept, held_out, rng)
    queries = []
    for row, target in enumerate(held_out):
        ranks, genes, weights = draw_positions(target, rng)
        context, num_ranks = Ragged.of([target.context]), int(ranks.max(initial=0)) + 1
        own = model.rank_distributions(context, num_ranks)[0].cpu().numpy()
        alike = np.full(len(ranks), 1 / len(gene_ids))
        queries.append(
            Query(
                searches={space: (index, points[space][row]) for space, index in indices.items()},
                itself=None,
                ranks=ranks,
                genes=genes,
                weights=weights,
                others=np.stack([np.exp(own[ranks, genes]), alike], axis=1),
            )
        )
    if len(indices) > 1:
        space = fit_knn(queries, widths=FEW_WIDTHS).space
        queries = [replace(one, searches={space: one.searches[space]}) for one in queries]
    chosen = fit_knn(queries)
    memory, network, uniform = chosen.weights
    return KnnInterpolation(
        index=indices[chosen.space],
        gene_ids=gene_ids,
        mixing=Mixing(
            number=chosen.number,
            width=chosen.width,
            network=network,
            memory=memory,
            uniform=uniform,
            space=chosen.space,
        ),
    )


def _searches(
    model: NextCellModel,
    training: CellPairs,
    kept: Sequence[Targets],
    held_out: Sequence[Targets],
    rng: np.random.Generator,
) -> tuple[dict[Space, SuccessorIndex], dict[Space, Float[ndarray, "cell component"]]]:
    """For each space, training cells, and the points of the held-out cells."""
    by_hidden = index_of(training, kept, points_of(model, kept))
    indices: dict[Space, SuccessorIndex] = {HIDDEN: by_hidden}
    points = {HIDDEN: points_of(model, held_out)}
    if model.axes is not None:
        expected = model.axes.expected(contexts_of(kept))
        indices[CANONICAL] = replace(by_hidden, points=expected)
        if training.policy == "identity":
            indices[NEXT] = index_of_next_cells(training, model.axes, rng)
        ahead = model.axes.expected(contexts_of(held_out))
        points |= {space: ahead for space in indices if space != HIDDEN}
    return indices, points


def index_of_next_cells(
    pairs: CellPairs, axes: CanonicalAxes, rng: np.random.Generator
) -> SuccessorIndex:
    """The measured next cells, each followed by itself, or by the cells that were drawn from it.

    Args:
        pairs: Their next cells are whole.
        axes: Cells are at where they are as next cells.
        rng: Draws cells where there are more than `MAX_CELLS`.
    """
    measured = pairs.following if pairs.measured is None else pairs.measured
    of, names = np.unique(np.stack([measured, pairs.following]), axis=1)
    cells = np.sort(rng.permutation(np.unique(of))[:MAX_CELLS])
    bounds = zip(np.searchsorted(of, cells), np.searchsorted(of, cells, "right"), strict=True)
    following = [names[start:stop].tolist() for start, stop in bounds]
    genes_of = {name: pairs.encode(name)[: pairs.max_genes] for mine in following for name in mine}
    points = axes.observed(Ragged.of([pairs.encode(cell) for cell in cells.tolist()]))
    return SuccessorIndex.of(
        points, following, [[1 / len(mine)] * len(mine) for mine in following], genes_of
    )


def contexts_of(targets: Sequence[Targets]) -> Ragged:
    """The genes of current cells in rank order."""
    return Ragged.of([np.asarray(target.context, dtype=np.int64) for target in targets])


def points_of(model: NextCellModel, targets: Sequence[Targets]) -> Float[ndarray, "cell hidden"]:
    """The points of current cells: means of the model's hidden states."""
    batches = (targets[first : first + _AT_ONCE] for first in range(0, len(targets), _AT_ONCE))
    points = [
        model.context_points(Ragged.of([target.context for target in batch])).cpu().numpy()
        for batch in batches
    ]
    return np.concatenate(points)
