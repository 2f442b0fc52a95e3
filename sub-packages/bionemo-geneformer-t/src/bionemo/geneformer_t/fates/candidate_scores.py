"""Scores of candidate next cells: how much more probable a candidate is after one cell than others.

The log-probability of a candidate given a context favors candidates that are typical, whatever the
context. The score is therefore the pointwise mutual information (Church and Hanks 1990),

    log P(candidate | context) - log mean_j P(candidate | context j),

over reference contexts j, a sample of training cells. Each context is encoded once, whatever the
number of candidates. To it is added, with a weight, what canonical axes say of the same two cells
(`model/canonical_axes.py`). Scores are made in blocks, of which the highest of each context are
kept.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.context_tables import (
    CONTEXTS_AT_ONCE,
    ContextTables,
    context_tables,
    summed_entries,
)
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import Score, TransitionChoice
from bionemo.geneformer_t.ragged import Ragged

NUM_REFERENCES = 128
"""Contexts over which the mean probabilities of candidates are taken, where they are drawn."""
CANDIDATES_AT_ONCE = 1 << 14
"""Candidates whose scores for a batch of contexts are held, at most."""


@dataclass(frozen=True, kw_only=True)
class HighestScores:
    """The candidates with the highest scores of each context, the highest first."""

    candidates: Int[ndarray, "context kept"]
    """Rows of the candidates; -1 where a context has fewer than are kept."""
    scores: Float[ndarray, "context kept"]
    """In nats; -inf where a context has fewer."""


class CandidateScorer:
    """A model and candidates, of which any are scored for any contexts.

    Args:
        model: Trained on next cells.
        candidates: Cells to score.
        references: Contexts whose mean probability of a candidate is what a score is relative to;
            None for log-probabilities as they are.
        use_memory: Use the kNN memory where the model has one.
        axes_weight: Weight of the score along the model's canonical axes; where it is not 0, the
            model has axes, and the candidates points along them.
        time_gap: How far ahead, in the model's unit, for a model that was trained with gaps; None
            for no gap in particular. The kNN memory and canonical axes know one step alone, so that
            neither is used with a gap.
        candidates_at_once: Candidates in a block, at most.
        contexts_at_once: Contexts in a batch, at most; fewer where their tables are large.

    Raises:
        ValueError: The model was not trained on next cells, has no vocabulary, or has no positions
            for so many ranks; or a reference is empty; or a gap is given to a model that was
            trained without, or together with a weight of axes.
    """

    def __init__(
        self,
        model: NextCellModel,
        candidates: Candidates,
        references: Ragged | None = None,
        *,
        use_memory: bool = True,
        axes_weight: float = 0.0,
        time_gap: float | None = None,
        candidates_at_once: int = CANDIDATES_AT_ONCE,
        contexts_at_once: int = CONTEXTS_AT_ONCE,
    ) -> None:
        model.require_next_cells()
        if time_gap is not None:
            model.required_gaps()
            use_memory = False
            if axes_weight:
                raise ValueError(
                    f"canonical axes know one step alone; got axes_weight {axes_weight:g} and "
                    f"time_gap {time_gap:g}. Leave one out"
                )
        self.time_gap = time_gap
        self.model = model
        self.candidates = candidates
        self.axes_weight = axes_weight
        self._memory = model.memory if use_memory else None
        self._contexts_at_once = contexts_at_once
        self._candidates_at_once = candidates_at_once
        self.log_mean: Float[ndarray, " candidate"] = np.zeros(len(candidates))
        """Log of the mean probability of each candidate over the references; 0 without any."""
        if references is not None:
            self.log_mean = self._log_mean_over(references)

    def highest(
        self,
        contexts: Ragged,
        rows: Int[ndarray, " row"],
        number: int,
        excluded: Int[ndarray, " context"] | None = None,
        on_cells: OnCells = int,
    ) -> HighestScores:
        """The candidates with the highest scores of each context.

        Args:
            contexts: Known genes of each current cell in rank order; none is empty.
            rows: The candidates to choose from, ascending.
            number: How many to keep of each context.
            excluded: A candidate that each context does not choose, such as itself; -1 for none.
            on_cells: Told how many more contexts are done.
        """
        kept = HighestScores(
            candidates=np.full((len(contexts), number), -1),
            scores=np.full((len(contexts), number), -np.inf),
        )
        for batch, (table,) in self._tables(contexts):
            expected = self._expected(contexts.take(batch))
            best = torch.full((len(batch), number), -math.inf, dtype=torch.float64)
            where = torch.full((len(batch), number), -1)
            for part in self._parts(rows):
                of_part = self._scores(table, part) + self._of_axes(expected, part)
                scores = torch.from_numpy(of_part)
                if excluded is not None:
                    _exclude(scores, part, excluded[batch])
                both = torch.cat([best, scores], dim=1)
                names = torch.from_numpy(part).expand(len(batch), -1)
                best, at = both.topk(number, dim=1)
                where = torch.cat([where, names], dim=1).gather(1, at)
            where[torch.isneginf(best)] = -1
            kept.candidates[batch], kept.scores[batch] = where.numpy(), best.numpy()
            on_cells(len(batch))
        return kept

    def all_scores(self, contexts: Ragged) -> Float[ndarray, "context candidate"]:
        """The scores of all candidates: for few cells, as this is a dense matrix."""
        return self.network_scores(contexts) + self.along_axes(contexts)

    def network_scores(self, contexts: Ragged) -> Float[ndarray, "context candidate"]:
        """The same without what canonical axes add."""
        scores = np.empty((len(contexts), len(self.candidates)))
        for batch, (table,) in self._tables(contexts):
            for part in self._parts(np.arange(len(self.candidates))):
                scores[np.ix_(batch, part)] = self._scores(table, part)
        return scores

    def along_axes(self, contexts: Ragged) -> Float[ndarray, "context candidate"] | float:
        """What canonical axes add to the scores of all candidates; 0 where they are not used."""
        return self._of_axes(self._expected(contexts), slice(None))

    def _expected(self, contexts: Ragged) -> Float[ndarray, "context axis"] | None:
        """The points of contexts along canonical axes; None where these are not used."""
        return self.model.required_axes().expected(contexts) if self.axes_weight else None

    def _of_axes(
        self,
        expected: Float[ndarray, "context axis"] | None,
        rows: Int[ndarray, " row"] | slice,
    ) -> Float[ndarray, "context row"] | float:
        if expected is None:
            return 0.0
        axes = self.model.required_axes()
        return self.axes_weight * axes.information(expected, self.candidates.points[axes][rows])

    def _parts(self, rows: Int[ndarray, " row"]) -> list[Int[ndarray, " _"]]:
        step = self._candidates_at_once
        return [rows[start : start + step] for start in range(0, len(rows), step)]

    def _scores(
        self, table: Float[Tensor, "entry_and_none context"], rows: Int[ndarray, " row"]
    ) -> Float[ndarray, "context row"]:
        sums = summed_entries(table, self.candidates, rows).cpu().numpy()
        return sums.T.astype(np.float64) - self.log_mean[rows]

    def _log_mean_over(self, references: Ragged) -> Float[ndarray, " candidate"]:
        """Log of the mean probability of each candidate over the references."""
        if not len(references) or not references.lengths.all():
            raise ValueError(
                f"references must be cells that express genes of the vocabulary; got "
                f"{len(references)} cells, of which {int((references.lengths == 0).sum())} do not"
            )
        summed = np.full(len(self.candidates), -np.inf)
        for _, (table,) in self._tables(references):
            for part in self._parts(np.arange(len(self.candidates))):
                of_part = summed_entries(table, self.candidates, part).double().logsumexp(dim=1)
                summed[part] = np.logaddexp(summed[part], of_part.cpu().numpy())
        return summed - math.log(len(references))

    def _tables(self, contexts: Ragged) -> ContextTables:
        memories = [self._memory]
        return context_tables(
            self.model,
            self.candidates,
            contexts,
            memories,
            self._contexts_at_once,
            self.time_gap,
        )


def _exclude(
    scores: Float[Tensor, "context row"],
    rows: Int[ndarray, " row"],
    excluded: Int[ndarray, " context"],
) -> None:
    """Give each context's excluded candidate the score -inf, in place, where it is among `rows`."""
    if not len(rows):
        return
    at = np.minimum(np.searchsorted(rows, excluded), len(rows) - 1)
    found = np.flatnonzero(rows[at] == excluded)
    scores[torch.from_numpy(found), torch.from_numpy(at[found])] = -math.inf


def candidate_scores(
    model: NextCellModel,
    contexts: Ragged,
    candidates: Ragged,
    *,
    references: Ragged | None = None,
    score: Score = "pmi",
    number: int | None = None,
    num_ranks: int | None = None,
    use_memory: bool = True,
    axes_weight: float = 0.0,
    exclude_self: bool = False,
    candidates_at_once: int = CANDIDATES_AT_ONCE,
    contexts_at_once: int = CONTEXTS_AT_ONCE,
) -> HighestScores:
    """Score candidate next cells for every context, and keep the highest.

    Args:
        model: Trained on next cells.
        contexts: Known genes of each current cell in rank order, without special tokens; they are
            cut as in training.
        candidates: The same of each candidate, of which the highest ranks count.
        references: Contexts of the mean that `pmi` is relative to, such as a sample of training
            cells; by default the contexts themselves.
        score: `pmi`, or `likelihood` for the log-probability alone, in nats over `num_ranks` ranks.
        number: How many candidates to keep for each context; all by default.
        num_ranks: Ranks that count; by default 128, or as many as the model reads of a cell.
        use_memory: Use the kNN memory where the model has one.
        axes_weight: Weight of the score along the model's canonical axes, which is added to `pmi`.
        exclude_self: Contexts and candidates are the same cells, and none is its own candidate.
        candidates_at_once: Candidates in a block; with `contexts_at_once`, this bounds the memory.
        contexts_at_once: Contexts in a batch, at most.

    Returns:
        Candidates and scores, the highest first.

    Raises:
        ValueError: The model was not trained on next cells; ids are not of its vocabulary; a cell
            is empty; there are fewer candidates than are to be kept; or the weight is negative or
            not finite, or the model has no axes.
    """
    model.require_next_cells()
    vocab = model.required_vocab()
    for what, cells in (("contexts", contexts), ("candidates", candidates)):
        if not cells.lengths.all():
            raise ValueError(
                f"{int((cells.lengths == 0).sum())} of {len(cells)} {what} have no genes and can "
                "not be scored; leave them out"
            )
    if exclude_self and len(contexts) != len(candidates):
        raise ValueError(
            f"exclude_self is for contexts that are the candidates; got {len(contexts)} contexts "
            f"and {len(candidates)} candidates"
        )
    available = len(candidates) - exclude_self
    number = available if number is None else number
    if not 1 <= number <= available:
        raise ValueError(
            f"number must be between 1 and {available}, the candidates of each context; got "
            f"{number}"
        )
    if not 0 <= axes_weight < math.inf:
        raise ValueError(f"axes_weight must be finite and not negative; got {axes_weight}")
    if axes_weight and (model.axes is None or score != "pmi"):
        raise ValueError(
            f"axes_weight is {axes_weight:g}; it needs the score 'pmi' and a model with canonical "
            f"axes; got the score {score!r} and a model "
            f"{'without axes' if model.axes is None else 'with them'}"
        )
    if score == "pmi":
        references = contexts if references is None else references
    num_ranks = ranks_to_score(model, num_ranks, TransitionChoice.num_ranks)
    held = Candidates.of(candidates, num_ranks, vocab, axes_to_score(model, axes_weight))
    scorer = CandidateScorer(
        model,
        held,
        references if score == "pmi" else None,
        use_memory=use_memory,
        axes_weight=axes_weight,
        candidates_at_once=candidates_at_once,
        contexts_at_once=contexts_at_once,
    )
    own = np.arange(len(contexts)) if exclude_self else None
    return scorer.highest(contexts, np.arange(len(candidates)), number, own)


def axes_to_score(model: NextCellModel, weight: float) -> list[CanonicalAxes]:
    """The axes along which candidates need points: the model's, unless their weight is 0."""
    return [model.required_axes()] if weight else []


def fitted_choice(model: NextCellModel) -> TransitionChoice:
    """The settings of its transitions, fitted or by default."""
    return model.transitions.choice if model.transitions else TransitionChoice()


def ranks_to_score(model: NextCellModel, asked: int | None, default: int) -> int:
    """The ranks that count: so many as are asked for, or else a default or all if it is more.

    Raises:
        ValueError: The model can predict fewer than are asked for, or it is less than 1.
    """
    room = model.config.max_position_embeddings - SPECIALS_PER_CONTEXT
    most = min(genes_per_cell(model), room, len(model.required_vocab().genes))
    if asked is None:
        return min(default, most)
    if not 1 <= asked <= most:
        raise ValueError(
            f"num_ranks must be between 1 and {most}, the ranks that this model reads of a cell; "
            f"got {asked}"
        )
    return asked
