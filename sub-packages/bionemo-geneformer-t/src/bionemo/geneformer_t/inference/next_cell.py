"""Next cells of many cells, in memory that does not grow with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT, SPECIALS_PER_PAIR
from bionemo.geneformer_t.inference.embedder import OnCells, batches_by_length
from bionemo.geneformer_t.inference.expected_ranks import (
    NUMBERS_AT_ONCE,
    ExpectedRanks,
    current_ranks,
    expected_ranks,
    ranks_that_count,
)
from bionemo.geneformer_t.model.decoding import most_probable_genes
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab


@dataclass(frozen=True, kw_only=True)
class NextCells:
    """The highest-ranked genes of the predicted next cell of each current cell."""

    cells: Int[ndarray, " cell"]
    """Rows of the current cells, without those in `empty`."""
    empty: Int[ndarray, " empty_cell"]
    """Rows of cells that express no gene of the vocabulary; nothing is predicted for them."""
    token_ids: Int[ndarray, "cell rank"]
    """Genes in rank order, none twice in a cell."""
    probabilities: Float[ndarray, "cell rank"]
    """The model's probability of each of these genes at its rank."""
    vocab: GeneVocab
    """Names of the token ids."""
    time_gap: float | None = None
    """Time from each current cell to its next cell, in the model's unit; None where none was
    asked for."""
    ranks: ExpectedRanks | None = None
    """On request: expected normalised ranks of all genes, and those of the current cells."""

    @property
    def genes(self) -> ndarray:
        """The names of the genes, cells x ranks."""
        return np.array(self.vocab.tokens, dtype=object)[self.token_ids]


def predict_next_cells(
    model: NextCellModel,
    blocks: Iterable[Ragged],
    num_predictions: int = 10,
    *,
    batch_size: int = 16,
    max_tokens_per_batch: int | None = None,
    time_gaps: Float[ndarray, " gap"] | None = None,
    with_ranks: bool = False,
    on_cells: OnCells = int,
) -> Iterator[NextCells]:
    """Predict the next cell of each cell, block by block, in the given order.

    Within a block cells of similar length are predicted together, the longest first.

    Args:
        model: A trained model, with its vocabulary and pair settings.
        blocks: Tokens of the known genes of consecutive cells, in rank order: in each block a row
            for each cell, as long as it has genes.
        num_predictions: Ranks to predict, from the highest.
        batch_size: Cells that are predicted at once.
        max_tokens_per_batch: Instead, tokens that are predicted at once, at most, the predicted
            ones included; a longer cell is predicted alone.
        time_gaps: Predict next cells at each of these gaps, in the model's unit; each context is
            encoded once for all. They are the network's own predictions, without its memory, which
            knows next cells of one step alone.
        with_ranks: Also return the expected normalised rank of every gene, over as many ranks as
            `expected_ranks.ranks_that_count` says.
        on_cells: Told how many more cells are done.

    Returns:
        For each block, and each of its gaps in turn, `token_ids`, `genes` and `probabilities`,
        cells x ranks, and the numbers of the cells that have them (`cells`) and of those without
        any known gene (`empty`).

    Raises:
        ValueError: The model has no vocabulary, was not trained on next cells, or not with time
            gaps that are asked for, or more ranks are asked for than it can predict.

    Example:
        >>> from bionemo.geneformer_t.ragged import Ragged
        >>> model = gft.TemporalGeneformerModel.load_from_checkpoint(checkpoint)
        >>> genes = model.vocab.encode(["GENE1", "GENE2", "GENE3"])
        >>> (found,) = gft.predict_next_cells(model, [Ragged.of([genes])], num_predictions=5)
        >>> found.genes, found.probabilities
    """
    model.require_next_cells()
    if time_gaps is not None:
        model.required_gaps()
    num_gaps = 1 if time_gaps is None else len(time_gaps)
    first, most, vocab = 0, genes_per_cell(model), model.required_vocab()
    counting = ranks_that_count(model, most) if with_ranks else 0
    asked = max(counting, num_predictions)
    if counting:
        batch_size = max(1, min(batch_size, NUMBERS_AT_ONCE // (num_gaps * asked * len(vocab))))
    with evaluating(model):
        for block in blocks:
            cells = block.truncated(most)
            filled = np.flatnonzero(cells.lengths)
            lengths = cells.lengths[filled] + SPECIALS_PER_CONTEXT + num_gaps * asked
            shape = (num_gaps, len(filled))
            token_ids = np.zeros((*shape, num_predictions), dtype=np.int64)
            probabilities = np.zeros((*shape, num_predictions), dtype=np.float32)
            following = np.zeros((*shape, len(vocab.genes) if counting else 0), np.float32)
            for batch in _batches(lengths, batch_size, max_tokens_per_batch):
                contexts = cells.take(filled[batch])
                found = _predict(model, contexts, num_predictions, counting, time_gaps)
                token_ids[:, batch], probabilities[:, batch] = found[:2]
                following[:, batch] = found[2]
                on_cells(len(batch))
            on_cells(len(cells) - len(filled))
            current = current_ranks(cells.take(filled), counting, vocab.gene_ids, len(vocab))
            for gap in range(num_gaps):
                yield NextCells(
                    cells=first + filled,
                    empty=first + np.flatnonzero(cells.lengths == 0),
                    token_ids=token_ids[gap],
                    probabilities=probabilities[gap],
                    vocab=vocab,
                    time_gap=None if time_gaps is None else float(time_gaps[gap]),
                    ranks=ExpectedRanks(following=following[gap], current=current)
                    if counting
                    else None,
                )
            first += len(cells)


@torch.inference_mode()
def _predict(
    model: NextCellModel,
    contexts: Ragged,
    num_ranks: int,
    counting: int,
    time_gaps: Float[ndarray, " gap"] | None,
) -> tuple[
    Int[ndarray, "gap cell rank"], Float[ndarray, "gap cell rank"], Float[ndarray, "gap cell gene"]
]:
    """Genes of the first ranks, their probabilities, and normalised ranks over those counting."""
    vocab, most = model.required_vocab(), max(num_ranks, counting)
    if time_gaps is None:
        asked = model.rank_distributions(contexts, most)[None]
    else:
        asked = model.gap_distributions(contexts, most, time_gaps).transpose(0, 1)
    chosen = torch.stack([most_probable_genes(of_gap[:, :num_ranks]) for of_gap in asked])
    probabilities = asked[:, :, :num_ranks].gather(-1, chosen[..., None])[..., 0].exp()
    ranks = [
        expected_ranks(of_gap[:, :counting], contexts.lengths, vocab.gene_ids)
        if counting
        else np.zeros((len(contexts), 0), dtype=np.float32)
        for of_gap in asked
    ]
    return chosen.cpu().numpy(), probabilities.cpu().numpy(), np.stack(ranks)


def _batches(
    tokens: Int[ndarray, " cell"], batch_size: int, max_tokens: int | None
) -> list[Int[ndarray, " _"]]:
    """Cells of similar length together, the longest first: what does not fit fails at once."""
    if max_tokens is not None:
        return batches_by_length(tokens, max_tokens)
    order = np.argsort(-tokens, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def genes_per_cell(model: NextCellModel) -> int:
    """How many genes of a current cell the model was trained to read."""
    if model.pair_settings is not None:
        return model.pair_settings.genes_per_cell
    return (model.config.max_position_embeddings - SPECIALS_PER_PAIR) // 2
