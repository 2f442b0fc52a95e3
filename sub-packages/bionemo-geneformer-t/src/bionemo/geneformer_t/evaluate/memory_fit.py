"""Fit the kNN memory of a trained model: its training cells, weighted on validation cells."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.knn_fit import fit_knn, index_of
from bionemo.geneformer_t.inference.rank_distributions import (
    frame,
    next_cell_log_probs,
    required_vocab,
)
from bionemo.geneformer_t.model.knn_memory import Mixing, SuccessorMemory
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

MAX_CELLS = 20_000
"""Training cells that are indexed, drawn at random where there are more."""
MAX_HELD_OUT = 200
"""Validation cells on which the mixture is chosen."""
_AT_ONCE = 32


def fit_memory(
    model: TemporalGeneformerModel,
    training: CellPairs,
    validation: CellPairs,
    rng: np.random.Generator,
) -> SuccessorMemory:
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
    gene_ids = required_vocab(model).gene_ids

    def others(target: Targets, ranks: ndarray, genes: ndarray) -> Float[ndarray, "position 2"]:
        own = next_cell_log_probs(model, [target.context], int(ranks.max(initial=0)) + 1)[0]
        uniform = np.full(len(ranks), 1 / len(gene_ids))
        return np.stack([np.exp(own[ranks, genes]), uniform], axis=1)

    index = index_of(training, kept, points_of(model, kept))
    chosen = fit_knn(
        index, held_out, points_of(model, held_out), [None] * len(held_out), others, rng
    )
    memory, network, uniform = chosen.weights
    return SuccessorMemory(
        library=index,
        gene_ids=gene_ids,
        mixing=Mixing(
            number=chosen.number,
            width=chosen.width,
            network=network,
            memory=memory,
            uniform=uniform,
        ),
    )


def points_of(
    model: TemporalGeneformerModel, targets: Sequence[Targets]
) -> Float[ndarray, "cell hidden"]:
    """The points of current cells: means of the model's hidden states."""
    vocab, found = required_vocab(model), []
    for first in range(0, len(targets), _AT_ONCE):
        cells = [frame(target.context, vocab) for target in targets[first : first + _AT_ONCE]]
        ids = torch.from_numpy(np.concatenate(cells)).to(model.device)
        lengths = torch.tensor([0] + [len(cell) for cell in cells]).to(model.device)
        found.append(model.context_points(ids, lengths.cumsum(0)).cpu().numpy())
    return np.concatenate(found)
