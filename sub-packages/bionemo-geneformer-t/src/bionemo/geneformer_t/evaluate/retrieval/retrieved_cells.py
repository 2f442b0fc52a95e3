"""Next cells that are real cells: drawn by a row of transitions among training cells.

Ranks of a next cell are independent given the current cell, so genes that are drawn rank by rank
make no coherent cell. A real cell is one.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.retrieval.model_rankers import encoded, scorer_of
from bionemo.geneformer_t.fates.candidate_scores import fitted_choice
from bionemo.geneformer_t.model.next_cell_model import NextCellModel


def retrieved_cells(
    model: NextCellModel,
    pairs: CellPairs,
    training: CellPairs,
    rows: Int[ndarray, " row"],
    rng: np.random.Generator,
) -> Int[ndarray, " current_cell"]:
    """A training cell for each current cell, with the probability of the transition to it.

    Args:
        model: Scores, temperature and number of candidates are those of its transitions.
        pairs: With the current cells.
        training: Encodes training cells; reference contexts are drawn from it for a model without
            fitted transitions.
        rows: Training cells to draw from.
        rng: Draws.

    Raises:
        ValueError: None of the training cells expresses a known gene.
    """
    from scipy.special import softmax

    choice, cells = fitted_choice(model), encoded(training, rows)
    filled = np.flatnonzero(cells.lengths)
    if not len(filled):
        raise ValueError("no training cell expresses a gene of the model's vocabulary")
    rows, cells = rows[filled], cells.take(filled)
    scorer = scorer_of(model, cells, training, rng)
    number = min(choice.num_successors, len(rows))
    best = scorer.highest(encoded(pairs, pairs.cells), np.arange(len(rows)), number)
    upto = np.cumsum(softmax(best.scores / choice.temperature, axis=1), axis=1)
    drawn = (rng.random((len(upto), 1)) * upto[:, -1:] > upto).sum(axis=1)
    found: ndarray = rows[best.candidates[np.arange(len(drawn)), drawn]]
    return found
