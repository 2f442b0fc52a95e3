"""Log-probabilities of the candidates' entries given each context, and their sums.

A table is made once for each context, with a kNN memory or without: its normalisers need the logits
of every gene at every rank anyway. A candidate's log-probability is then a sum of as many of its
numbers as ranks count. The other way, a product of hidden states with the embeddings of the
candidates' genes, multiplies the hidden size times as many numbers (`benchmarks/transitions.py`
times both).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.knn_memory import HIDDEN, KnnInterpolation, context_points
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.model.prediction import all_masked, check_lengths
from bionemo.geneformer_t.ragged import Ragged

ContextTables = Iterator[
    tuple[Int[ndarray, " context"], list[Float[Tensor, "entry_and_none context"]]]
]
"""Rows of some contexts, and for each memory the log-probabilities of all entries given each
context; the last row of a table is 0."""

CONTEXTS_AT_ONCE = 64
_NUMBERS_AT_ONCE = 1 << 24
"""Logits that are held at once, and numbers of tables, at most: 64 MiB each, or those of one
context."""


def context_tables(
    model: NextCellModel,
    candidates: Candidates,
    contexts: Ragged,
    memories: Sequence[KnnInterpolation | None],
    at_once: int = CONTEXTS_AT_ONCE,
    time_gap: float | None = None,
) -> ContextTables:
    """The tables of all contexts, in batches of similar length, the longest first.

    Args:
        model: Trained on next cells.
        candidates: Their entries are kept of each table.
        contexts: Known genes of each in rank order; cut as in training. None is empty.
        memories: A table is made with each; None is the network alone.
        at_once: Contexts in a batch, at most; fewer where their tables are large.
        time_gap: How far ahead, in the model's unit; None for no gap in particular.

    Raises:
        ValueError: The model has no positions for so many genes or ranks.
    """
    vocab = model.required_vocab()
    cells = contexts.truncated(genes_per_cell(model))
    longest, num_ranks = int(cells.lengths.max(initial=0)), candidates.num_ranks
    check_lengths(num_ranks, longest, model.config, vocab)
    head = _GeneHead(model, candidates, time_gap)
    used = [memory for memory in memories if memory is not None]
    in_hidden = any(memory.mixing.space == HIDDEN for memory in used)
    order = np.argsort(-cells.lengths, kind="stable")
    step = max(1, min(at_once, _NUMBERS_AT_ONCE // max(1, len(candidates.entries))))
    part = max(1, min(step, _NUMBERS_AT_ONCE // (num_ranks * len(vocab.genes))))
    for start in range(0, len(order), step):
        batch = order[start : start + step]
        read = [
            head.log_probs(cells.take(batch[at : at + part]), with_points=in_hidden)
            for at in range(0, len(batch), part)
        ]
        log_probs = torch.cat([of_part for of_part, _ in read])
        points = np.concatenate([of_part for _, of_part in read])
        if used and not in_hidden:
            points = model.required_axes().expected(cells.take(batch))
        yield batch, [_table(log_probs, points, memory, head) for memory in memories]


class _GeneHead:
    """The vocabulary head's rows of genes, and where the candidates' entries are in its logits."""

    @torch.inference_mode()
    def __init__(
        self, model: NextCellModel, candidates: Candidates, time_gap: float | None
    ) -> None:
        vocab, head = model.required_vocab(), model.net.cls.predictions
        self.model = model
        self.num_ranks = candidates.num_ranks
        self.gaps = None if time_gap is None else np.array([time_gap])
        self.ranks, self.genes = np.divmod(candidates.entries, len(vocab))
        columns = self.ranks * len(vocab.genes) + np.searchsorted(vocab.gene_ids, self.genes)
        gene_ids = torch.from_numpy(vocab.gene_ids).to(model.device)
        self._weight, self._bias = head.joint_weight()[gene_ids], head.decoder.bias[gene_ids]
        self._columns = torch.from_numpy(columns).to(model.device)
        self._ranks = torch.from_numpy(self.ranks).to(model.device)

    @torch.inference_mode()
    def log_probs(
        self, cells: Ragged, *, with_points: bool
    ) -> tuple[Float[Tensor, "context entry"], Float[ndarray, "context component"]]:
        """The network's, of all entries given each context, and the contexts' points on request."""
        with self.model.computing():
            hidden, points = _read(
                self.model, cells, self.num_ranks, self.gaps, with_points=with_points
            )
            logits = F.linear(hidden, self._weight, self._bias).float()
        logits = logits.unflatten(0, (-1, self.num_ranks))
        normalisers = logits.logsumexp(dim=-1)
        return logits.flatten(1)[:, self._columns] - normalisers[:, self._ranks], points


def _read(
    model: NextCellModel,
    cells: Ragged,
    num_ranks: int,
    gaps: Float[ndarray, " 1"] | None,
    *,
    with_points: bool,
) -> tuple[Float[Tensor, "scored feature"], Float[ndarray, "context hidden"]]:
    """What the head sees at every rank of every context, and the contexts as points of memories."""
    batch = all_masked(cells, num_ranks, model.required_vocab(), gaps).to(model.device)
    with evaluating(model):
        hidden = model.net.hidden(batch, model.attention(), keep_contexts=with_points)
    scored, points = hidden, np.zeros((len(cells), 0), dtype=np.float32)
    if with_points:
        of_contexts, scored = hidden.split([len(batch.context_ids), batch.num_scored])
        points = context_points(of_contexts, batch.context_offsets).float().cpu().numpy()
    return model.net.cls.predictions.features(scored, batch.scored_ranks), points


@torch.inference_mode()
def _table(
    log_probs: Float[Tensor, "context entry"],
    points: Float[ndarray, "context component"],
    memory: KnnInterpolation | None,
    head: _GeneHead,
) -> Float[Tensor, "entry_and_none context"]:
    table = log_probs.new_zeros(log_probs.shape[1] + 1, len(log_probs))
    of_network = log_probs.T
    if memory is not None:
        mixed = memory.mix_at(of_network.cpu().numpy(), points, head.ranks, head.genes)
        of_network = torch.from_numpy(mixed).to(table.device)
    table[:-1] = of_network
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
