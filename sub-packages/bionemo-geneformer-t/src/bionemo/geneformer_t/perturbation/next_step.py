"""Readouts of the next cell: means of known values over the cells that a cell goes to.

A cell goes to its candidates with the probabilities of its row of the transition matrix. With the
fate probabilities of the candidates as values, their mean is the expected fate one step on; with
their pseudotimes, the expected pseudotime. The row is that of `fates.streamed_transitions`, by the
network and the canonical axes: the kNN memory looks up cells that are similar as a whole, and would
answer an edit of one gene with the same neighbors, or with others by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.fates.candidate_scores import CandidateScorer
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.later_candidates import CandidateSets
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged

NO_CELL = -1
"""The row of a context that is none of the candidates."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Transition probabilities of some cells to their best candidates."""

    candidates: Int[ndarray, "cell kept"]
    probabilities: Float[ndarray, "cell kept"]
    """Rows sum to 1; 0 for what was left out."""

    def take(self, which: Int[ndarray, " taken"] | Bool[ndarray, " cell"]) -> "Rows":
        """Those of some cells, in the order given."""
        return Rows(candidates=self.candidates[which], probabilities=self.probabilities[which])

    @classmethod
    def joined(cls, parts: "Sequence[Rows]") -> "Rows":
        """One behind the other; no rows if there is no part."""
        if not parts:
            return cls(candidates=np.zeros((0, 1), dtype=np.int64), probabilities=np.zeros((0, 1)))
        return cls(
            candidates=np.concatenate([part.candidates for part in parts]),
            probabilities=np.concatenate([part.probabilities for part in parts]),
        )


class _Held(NamedTuple):
    """The candidates as tensors."""

    columns: Int[Tensor, " entry"]
    """Where each entry is in a table of ranks x genes."""
    places: Int[Tensor, "candidate rank"]
    scale: Float[Tensor, " candidate"]
    log_mean: Float[Tensor, " candidate"]
    observed: Float[Tensor, "candidate axis"]
    """Along canonical axes; without columns where these are not used."""
    typical: Float[Tensor, " candidate"]


class NextStep:
    """From current cells to their transition rows and to means over them.

    Args:
        model: Trained on next cells.
        candidates: What cells may go to.
        sets: Which candidates each of the input's cells may go to.
        choice: Temperature, ranks, number of successors and weight of canonical axes; the memory
            is not used.
        references: Contexts that scores are relative to; None for likelihoods as they are.
        values: Of each candidate, one column a readout; NaN where a candidate has none.
        excludes_own: Whether a cell is not among its own candidates.
    """

    def __init__(
        self,
        model: NextCellModel,
        candidates: Candidates,
        sets: CandidateSets,
        choice: TransitionChoice,
        references: Ragged | None,
        values: Float[ndarray, "candidate readout"],
        *,
        excludes_own: bool,
    ) -> None:
        self.model = model
        self.choice = choice
        self.values = values
        self._sets = sets
        self._excludes_own = excludes_own
        used = np.unique(sets.set_of_cell).tolist()
        most = max(len(sets.rows[number]) for number in used) - excludes_own
        self._number = min(choice.num_successors, most)
        self.scorer = CandidateScorer(
            model, candidates, references, use_memory=False, axes_weight=choice.axes_weight
        )

    def rows(self, contexts: Ragged, own: Int[ndarray, " context"]) -> Rows:
        """The transition row of each context, which may be edited.

        Args:
            contexts: Known genes of each in rank order; none is empty.
            own: The row of the input that each was before edits; it decides the candidates.
        """
        scores = self.scorer.all_scores(contexts)
        return self._best(torch.from_numpy(scores), own)

    def read(
        self, contexts: Ragged, own: Int[ndarray, " context"]
    ) -> Float[ndarray, "context readout"]:
        """The readouts of each context: means of the values over its row."""
        return means(self.rows(contexts, own), self.values)

    def differentiable(
        self,
        log_probs: Float[Tensor, "cell rank gene"],
        points: Float[Tensor, "cell axis"],
        own: Int[ndarray, " cell"],
    ) -> Float[Tensor, "cell readout"]:
        """The same from the log-probabilities of genes at the ranks that count, with gradients.

        Args:
            log_probs: Of the genes of the vocabulary in the order of `gene_ids`.
            points: Where next cells are expected along the model's canonical axes.
            own: As for `rows`.
        """
        held = self._on(log_probs.device)
        entries = log_probs.flatten(1)[:, held.columns]
        table = torch.cat([entries, entries.new_zeros(len(entries), 1)], dim=1)
        sums = F.embedding_bag(held.places, table.T.contiguous(), mode="sum").T
        scores = sums * held.scale.to(sums.dtype) - held.log_mean.to(sums.dtype)
        if self.choice.axes_weight:
            apart = -0.5 * points.square().sum(dim=1, keepdim=True)
            of_axes = points @ held.observed.T + apart - held.typical
            scores = scores + self.choice.axes_weight * of_axes.to(scores.dtype)
        best = self._top(scores, own)
        weights = (best.values / self.choice.temperature).softmax(dim=1)
        values = torch.from_numpy(self.values).to(sums)[best.indices]
        return (weights[..., None] * values.nan_to_num()).sum(dim=1)

    @cache  # noqa: B019 - as long-lived as what it keeps
    def _on(self, device: torch.device) -> "_Held":
        candidates, vocab = self.scorer.candidates, self.model.required_vocab()
        ranks, tokens = np.divmod(candidates.entries, len(vocab))
        columns = ranks * len(vocab.gene_ids) + np.searchsorted(vocab.gene_ids, tokens)
        scale = candidates.num_ranks / np.maximum(candidates.num_genes, 1)
        observed, typical = np.zeros((len(candidates), 0), np.float32), np.zeros(len(candidates))
        if self.choice.axes_weight:
            axes = self.model.required_axes()
            observed = candidates.points[axes]
            typical = axes.typical(observed)
        arrays = (columns, candidates.places, scale, self.scorer.log_mean, observed, typical)
        return _Held(*(torch.from_numpy(array).to(device) for array in arrays))

    def _best(self, scores: Float[Tensor, "cell candidate"], own: Int[ndarray, " cell"]) -> Rows:
        best = self._top(scores, own)
        weights = (best.values / self.choice.temperature).softmax(dim=1)
        return Rows(candidates=best.indices.numpy(), probabilities=weights.numpy())

    def _top(
        self, scores: Float[Tensor, "cell candidate"], own: Int[ndarray, " cell"]
    ) -> torch.return_types.topk:
        """The best candidates of each cell's set, without itself where it is excluded."""
        allowed = self._allowed(own)
        masked = scores.masked_fill(~allowed.to(scores.device), -torch.inf)
        return masked.topk(self._number, dim=1)

    def _allowed(self, own: Int[ndarray, " cell"]) -> Tensor:
        allowed = torch.zeros(len(own), len(self.scorer.candidates), dtype=torch.bool)
        for number in np.unique(self._sets.set_of_cell[own]).tolist():
            cells = np.flatnonzero(self._sets.set_of_cell[own] == number)
            allowed[np.ix_(cells, self._sets.rows[number])] = True
        if self._excludes_own:
            allowed[np.arange(len(own)), own] = False
        return allowed


def means(
    rows: Rows, values: Float[ndarray, "candidate readout"]
) -> Float[ndarray, "cell readout"]:
    """Means of values over transition rows; candidates without a value (NaN) count as 0."""
    held = np.nan_to_num(values)[rows.candidates]
    found: Float[ndarray, "cell readout"] = np.einsum("ck,ckr->cr", rows.probabilities, held)
    return found
