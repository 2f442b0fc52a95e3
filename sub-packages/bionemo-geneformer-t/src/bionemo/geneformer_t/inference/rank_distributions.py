"""The model's whole answer: a distribution over genes at every rank of the next cell.

Every rank is asked at once as [MASK]; nothing of the next cell is shown, so one answer serves any
number of successors.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.model.prediction import all_masked
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import CLS, SEP, GeneVocab


def required_vocab(model: TemporalGeneformerModel) -> GeneVocab:
    """The vocabulary that the model was trained with.

    Raises:
        ValueError: The model has none yet.
    """
    if model.vocab is None:
        raise ValueError(
            "this model has no vocabulary yet; train it with a TemporalGeneformerDataModule or "
            "load a checkpoint, which carries one"
        )
    return model.vocab


def frame(genes: Int[ndarray, " gene"], vocab: GeneVocab) -> Int[ndarray, " context_token"]:
    """A current cell as the model reads it: `[CLS] genes [SEP]`."""
    return np.concatenate([[vocab.ids[CLS]], genes, [vocab.ids[SEP]]]).astype(np.int64)


@torch.inference_mode()
def next_cell_log_probs(
    model: TemporalGeneformerModel, contexts: list[Int[ndarray, " _"]], num_ranks: int
) -> Float[ndarray, "context rank vocab"]:
    """Natural log-probabilities of every token of the vocabulary at ranks 1 to `num_ranks`.

    Args:
        model: In evaluation mode.
        contexts: Genes of each current cell in rank order, without special tokens.
        num_ranks: Ranks of the next cell.
    """
    vocab = required_vocab(model)
    batch = all_masked([frame(genes, vocab) for genes in contexts], num_ranks, vocab)
    log_probs = model.next_cell_log_probs(batch.to(model.device), num_ranks)
    table: ndarray = log_probs[..., : len(vocab)].cpu().numpy()
    return table


def model_predictor(
    model: TemporalGeneformerModel,
) -> Callable[[list[Int[ndarray, " _"]], int], Float[ndarray, "context rank vocab"]]:
    """The model, in evaluation mode, as a function of current cells and a number of ranks.

    Raises:
        ValueError: It was not trained on next cells.
    """
    model.require_next_cells()
    model.eval()

    def predict(
        contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        return next_cell_log_probs(model, contexts, num_ranks)

    return predict
