"""The model's distributions over genes at every rank, as a function that `evaluate` scores."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.ragged import Ragged


def model_predictor(
    model: NextCellModel,
) -> Callable[[list[Int[ndarray, " _"]], int], Float[ndarray, "context rank vocab"]]:
    """The model, in evaluation mode, as a function of current cells and a number of ranks.

    It takes the genes of each current cell in rank order, without special tokens, and returns
    natural log-probabilities of every token of the vocabulary.

    Raises:
        ValueError: It was not trained on next cells.
    """
    model.require_next_cells()
    model.eval()

    @torch.inference_mode()
    def predict(
        contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        log_probs = model.rank_distributions(Ragged.of(contexts), num_ranks)
        table: ndarray = log_probs[..., : len(model.required_vocab())].cpu().numpy()
        return table

    return predict
