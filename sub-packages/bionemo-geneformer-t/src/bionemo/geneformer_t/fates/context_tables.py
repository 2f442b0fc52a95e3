"""Log-probabilities of the candidates' entries given each context, and their sums.

A table is made once for each context, with the kNN memory or without: its normalisers need every
gene at every rank anyway. A candidate's log-probability is then a gather of as many numbers as
ranks count. The other way, a product of hidden states with the embeddings of the candidates' genes,
reads as many numbers times the hidden size (`benchmarks/transitions.py` times both).
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.ragged import Ragged

ContextTables = Iterator[tuple[Int[ndarray, " context"], Float[Tensor, "entry_and_none context"]]]
"""Rows of some contexts, and the log-probabilities of all entries given each; the last are 0."""

CONTEXTS_AT_ONCE = 64
_NUMBERS_AT_ONCE = 1 << 24
"""Log-probabilities of a batch of contexts, at most: 64 MiB, or those of one context."""


def context_tables(
    model: NextCellModel,
    candidates: Candidates,
    contexts: Ragged,
    *,
    use_memory: bool = True,
    at_once: int = CONTEXTS_AT_ONCE,
) -> ContextTables:
    """The tables of all contexts, in batches of similar length, the longest first.

    Args:
        model: Trained on next cells.
        candidates: Their entries are kept of each table.
        contexts: Known genes of each in rank order; cut as in training. None is empty.
        use_memory: Use the kNN memory where the model has one.
        at_once: Contexts in a batch, at most; fewer where their tables are large.
    """
    size = candidates.num_ranks * len(model.required_vocab())
    at_once = max(1, min(at_once, _NUMBERS_AT_ONCE // size))
    cells = contexts.truncated(genes_per_cell(model))
    order = np.argsort(-cells.lengths, kind="stable")
    entries = torch.from_numpy(candidates.entries).to(model.device)
    for start in range(0, len(order), at_once):
        batch = order[start : start + at_once]
        with evaluating(model):
            table = _table(model, cells.take(batch), candidates.num_ranks, entries, use_memory)
        yield batch, table


@torch.inference_mode()
def _table(
    model: NextCellModel,
    contexts: Ragged,
    num_ranks: int,
    entries: Int[Tensor, " entry"],
    use_memory: bool,  # noqa: FBT001 - passed on
) -> Float[Tensor, "entry_and_none context"]:
    vocab_size = len(model.required_vocab())
    log_probs = model.rank_distributions(contexts, num_ranks, use_memory=use_memory)
    of_vocab = log_probs[..., :vocab_size].flatten(1)
    table = of_vocab.new_zeros(len(entries) + 1, len(contexts))
    table[:-1] = of_vocab[:, entries].T
    return table


def summed_entries(
    table: Float[Tensor, "entry_and_none context"],
    candidates: Candidates,
    rows: Int[ndarray, " row"] | slice,
) -> Float[Tensor, "row context"]:
    """Log-probabilities of candidates given each context, scaled to the ranks that count.

    Args:
        table: Log-probabilities of the candidates' entries, and a last row of zeros.
        candidates: All of them.
        rows: Those that are scored.
    """
    places = torch.from_numpy(candidates.places[rows]).to(table.device)
    # the rows of the entries of each candidate, added up: contiguous reads, nothing between
    sums = F.embedding_bag(places, table, mode="sum")
    scale = candidates.num_ranks / np.maximum(candidates.num_genes[rows], 1)
    return sums.mul_(torch.from_numpy(scale.astype(np.float32)).to(table.device)[:, None])
