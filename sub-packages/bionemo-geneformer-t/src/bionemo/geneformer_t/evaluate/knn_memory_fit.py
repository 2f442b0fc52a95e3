"""Fit the kNN memory of a trained model: its training cells, weighted on validation cells."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    Targets,
    draw_positions,
)
from bionemo.geneformer_t.evaluate.knn_fit import Query, fit_knn, index_of
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation, Mixing
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.ragged import Ragged

MAX_CELLS = 20_000
"""Training cells that are indexed, drawn at random where there are more."""
MAX_HELD_OUT = 200
"""Validation cells on which the mixture is chosen."""
_AT_ONCE = 32


def fit_memory(
    model: NextCellModel,
    training: CellPairs,
    validation: CellPairs,
    rng: np.random.Generator,
) -> KnnInterpolation:
    """The successors of training cells, found by similarity of the model's hidden states.

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

    index = index_of(training, kept, points_of(model, kept))
    queries = []
    for target, point in zip(held_out, points_of(model, held_out), strict=True):
        ranks, genes, weights = draw_positions(target, rng)
        context, num_ranks = Ragged.of([target.context]), int(ranks.max(initial=0)) + 1
        own = model.rank_distributions(context, num_ranks)[0].cpu().numpy()
        alike = np.full(len(ranks), 1 / len(gene_ids))
        queries.append(
            Query(
                searches={"hidden states": (index, point)},
                itself=None,
                ranks=ranks,
                genes=genes,
                weights=weights,
                others=np.stack([np.exp(own[ranks, genes]), alike], axis=1),
            )
        )
    chosen = fit_knn(queries)
    memory, network, uniform = chosen.weights
    return KnnInterpolation(
        index=index,
        gene_ids=gene_ids,
        mixing=Mixing(
            number=chosen.number,
            width=chosen.width,
            network=network,
            memory=memory,
            uniform=uniform,
        ),
    )


def points_of(model: NextCellModel, targets: Sequence[Targets]) -> Float[ndarray, "cell hidden"]:
    """The points of current cells: means of the model's hidden states."""
    batches = (targets[first : first + _AT_ONCE] for first in range(0, len(targets), _AT_ONCE))
    points = [
        model.context_points(Ragged.of([target.context for target in batch])).cpu().numpy()
        for batch in batches
    ]
    return np.concatenate(points)
