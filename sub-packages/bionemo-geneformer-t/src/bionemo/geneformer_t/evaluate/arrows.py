"""Arrows on a map from current cells to the mean of their true successors and to the prediction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.evaluate.predictions import batches
from bionemo.geneformer_t.evaluate.scores.expression_change import known_mean
from bionemo.geneformer_t.evaluate.scores.profiles import (
    cell_profiles,
    expected_profiles,
    place,
    typical_length,
)
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines

_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Arrows:
    """Arrows on a two-dimensional map of cells."""

    cells: Int[ndarray, " current_cell"]
    """Rows of the current cells, where the arrows start."""
    true_ends: Float[ndarray, "current_cell 2"]
    """Weighted mean place of each current cell's successors."""
    predicted_ends: Float[ndarray, "current_cell 2"]
    """Mean place of the cells that are most similar to the prediction."""
    cosine: float
    """Mean cosine between true and predicted arrows; NaN where none has a length."""
    expected: Float[ndarray, "current_cell vocab"]
    """The expected profile of each predicted next cell, in half precision."""
    num_ranks: int
    """Ranks of these profiles."""


def arrows(
    predictor: Predictor,
    dataset: TemporalGeneformerDataset,
    coordinates: Float[ndarray, "cell 2"],
) -> Arrows:
    """True and predicted arrows of every current cell of a split.

    Args:
        predictor: What predicts.
        dataset: The split.
        coordinates: The place of every cell of the split.
    """
    pairs = CellPairs.from_dataset(dataset)
    num_ranks = typical_length(dataset.tokens.num_genes, pairs.max_genes)
    reference = np.flatnonzero(dataset.tokens.num_genes > 0)
    encoded = (pairs.encode(int(cell)) for cell in reference)
    profiles = cell_profiles(encoded, num_ranks, pairs.vocab_size).toarray()
    contexts = (pairs.encode(int(cell))[: pairs.max_genes] for cell in pairs.cells)
    expected = expected_profiles(predictor, batches(contexts, _AT_ONCE), num_ranks)
    predicted_ends = place(expected, profiles, coordinates[reference])
    true_ends = pairs.mean_of_successors(coordinates[pairs.following])
    starts = coordinates[pairs.cells]
    return Arrows(
        cells=pairs.cells,
        true_ends=true_ends,
        predicted_ends=predicted_ends,
        cosine=known_mean(cosines(true_ends - starts, predicted_ends - starts)),
        expected=expected.astype(np.float16),
        num_ranks=num_ranks,
    )
