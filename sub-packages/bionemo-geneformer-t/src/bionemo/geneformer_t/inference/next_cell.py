"""Next cells of many cells: sorted by length, predicted in batches, returned in the given order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT, SPECIALS_PER_PAIR
from bionemo.geneformer_t.inference.embedder import batches_by_length
from bionemo.geneformer_t.inference.rank_distributions import frame, required_vocab
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import PAD, GeneVocab

Progress = Callable[[list[Int[ndarray, " _"]]], Iterable[Int[ndarray, " _"]]]
"""Passes batches through and shows how far they are."""


@dataclass(frozen=True, kw_only=True)
class NextCells:
    """The highest-ranked genes of the predicted next cell of each current cell."""

    cells: Int[ndarray, " cell"]
    """Rows of the current cells, as given, without those in `empty`."""
    empty: Int[ndarray, " empty_cell"]
    """Rows of cells that express no gene of the vocabulary; nothing is predicted for them."""
    token_ids: Int[ndarray, "cell rank"]
    """Genes in rank order, none twice in a cell."""
    probabilities: Float[ndarray, "cell rank"]
    """The model's probability of each of these genes at its rank."""
    vocab: GeneVocab
    """Names of the token ids."""

    def genes(self, i: int) -> list[str]:
        """The names of the genes of the i-th predicted cell."""
        return self.vocab.decode(self.token_ids[i].tolist())


def predict_next_cells(
    model: TemporalGeneformerModel,
    encode: Callable[[int], Int[ndarray, " _"]],
    cells: Int[ndarray, " row"],
    num_predictions: int = 10,
    *,
    batch_size: int = 16,
    max_tokens_per_batch: int | None = None,
    progress: Progress = iter,
) -> NextCells:
    """Predict the next cell of each of the given cells.

    Args:
        model: A trained model, which carries its vocabulary and pair settings.
        encode: Row of a cell -> ids of all its genes in rank order, in the model's vocabulary:
            `tokens.encode` of a dataset.
        cells: Rows of the current cells.
        num_predictions: Ranks to predict, from the highest.
        batch_size: Cells that are predicted at once.
        max_tokens_per_batch: Instead, as many as come to so many tokens, those that are predicted
            included; a cell that alone has more is predicted alone.
        progress: Shows how far the batches are.

    Raises:
        ValueError: The model has no vocabulary, or more ranks are asked than it can predict.
    """
    vocab = required_vocab(model)
    most = _genes_per_cell(model)
    # Cells are encoded again when their batch comes: that takes a thousandth of predicting them,
    # and keeping them all would take memory.
    lengths = np.array([min(len(encode(int(row))), most) for row in cells], dtype=np.int64)
    rows, empty, lengths = cells[lengths > 0], cells[lengths == 0], lengths[lengths > 0]
    token_ids = np.zeros((len(rows), num_predictions), dtype=np.int64)
    probabilities = np.zeros((len(rows), num_predictions), dtype=np.float32)
    tokens = lengths + SPECIALS_PER_CONTEXT + num_predictions
    for batch in progress(_batches(tokens, batch_size, max_tokens_per_batch)):
        ids, present = _padded([encode(int(rows[i]))[:most] for i in batch], vocab)
        predicted = model.predict_next_cell(ids, present, num_predictions)
        token_ids[batch] = predicted.token_ids.cpu().numpy()
        probabilities[batch] = predicted.probabilities.float().cpu().numpy()
    return NextCells(
        cells=rows.astype(np.int64),
        empty=empty.astype(np.int64),
        token_ids=token_ids,
        probabilities=probabilities,
        vocab=vocab,
    )


def _batches(
    tokens: Int[ndarray, " cell"], batch_size: int, max_tokens: int | None
) -> list[Int[ndarray, " _"]]:
    """Cells of similar length together, the longest first: what does not fit fails at once."""
    if max_tokens is not None:
        return batches_by_length(tokens, max_tokens)
    order = np.argsort(-tokens, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _genes_per_cell(model: TemporalGeneformerModel) -> int:
    """How many genes of a current cell the model was trained to read."""
    if model.pair_settings is not None:
        return model.pair_settings.genes_per_cell
    return (model.config.max_position_embeddings - SPECIALS_PER_PAIR) // 2


def _padded(
    contexts: Sequence[Int[ndarray, " _"]], vocab: GeneVocab
) -> tuple[Int[torch.Tensor, "cell token"], Int[torch.Tensor, "cell token"]]:
    framed = [torch.from_numpy(frame(genes, vocab)) for genes in contexts]
    ids = torch.nn.utils.rnn.pad_sequence(framed, batch_first=True, padding_value=vocab.ids[PAD])
    lengths = torch.tensor([len(cell) for cell in framed])
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()
