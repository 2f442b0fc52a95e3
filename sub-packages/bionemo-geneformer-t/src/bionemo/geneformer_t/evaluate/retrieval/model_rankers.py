"""Rankers of candidate successors by models: the one that is scored, its network, its control."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, Ranker
from bionemo.geneformer_t.evaluate.row_names import MODEL, SHUFFLED
from bionemo.geneformer_t.fates.candidate_scores import (
    NUM_REFERENCES,
    CandidateScorer,
    ranks_to_score,
)
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged

NETWORK, LIKELIHOOD = "the network alone", "raw likelihood of the model"


class ModelRankers:
    """Candidates by their scores under a model, relative to other contexts or not, in one pass.

    The scores of the last contexts are kept: both rankers ask for them, one after the other.

    Args:
        scorer: Of all candidates.
        contexts: Genes of all current cells.
    """

    def __init__(self, scorer: CandidateScorer, contexts: Ragged) -> None:
        self._scorer, self._contexts = scorer, contexts
        self._last: tuple[Int[ndarray, " context"], Float[ndarray, "context candidate"]] | None
        self._last = None

    def by_information(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        """Pointwise mutual information, in nats."""
        if self._last is None or not np.array_equal(self._last[0], contexts):
            self._last = contexts, self._scorer.all_scores(self._contexts.take(contexts))
        return self._last[1]

    def by_likelihood(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        """Log-probabilities, which are not relative to other contexts."""
        return self.by_information(contexts) + self._scorer.log_mean


def encoded(pairs: CellPairs, rows: Int[ndarray, " cell"]) -> Ragged:
    """The genes of some cells in rank order."""
    return Ragged.of([pairs.encode(int(row)) for row in rows])


def choice_of(model: NextCellModel) -> TransitionChoice:
    """The settings of its transitions, fitted or by default."""
    return model.transitions.choice if model.transitions else TransitionChoice()


def scorer_of(
    model: NextCellModel,
    candidates: Ragged,
    training: CellPairs,
    rng: np.random.Generator,
    *,
    use_memory: bool = True,
) -> CandidateScorer:
    """Scores of candidates by a model, relative to its reference contexts.

    Args:
        model: With fitted transitions or without.
        candidates: Genes of each in rank order.
        training: Reference contexts are drawn from it for a model without a fit.
        rng: Draws them.
        use_memory: Use the kNN memory where the model has one.
    """
    if model.transitions is None:
        some = training.draw_cells(NUM_REFERENCES, rng)
        references = encoded(some, some.cells)
    else:
        references = model.transitions.references
    num_ranks = ranks_to_score(model, None, choice_of(model).num_ranks)
    held = Candidates.of(candidates, num_ranks, model.required_vocab())
    return CandidateScorer(model, held, references, use_memory=use_memory)


def scorers_of(
    own: NextCellModel,
    shuffled: NextCellModel | None,
    search: CandidateSearch,
    pairs: CellPairs,
    training: CellPairs,
    rng: np.random.Generator,
) -> dict[str, CandidateScorer]:
    """The model, its network alone where it has a memory, and its control.

    Args:
        own: The model.
        shuffled: Its control, trained on shuffled successors.
        search: With the candidates.
        pairs: Encodes them.
        training: As for `scorer_of`.
        rng: The same cells are drawn for each.
    """
    candidates, seed = encoded(pairs, search.candidates), int(rng.integers(2**32))

    def scorer(model: NextCellModel, *, use_memory: bool = True) -> CandidateScorer:
        draws = np.random.default_rng(seed)
        return scorer_of(model, candidates, training, draws, use_memory=use_memory)

    found = {MODEL: scorer(own)}
    if own.memory is not None:
        found[NETWORK] = scorer(own, use_memory=False)
    if shuffled is not None:
        found[SHUFFLED] = scorer(shuffled)
    return found


def by_models(scorers: Mapping[str, CandidateScorer], contexts: Ragged) -> dict[str, Ranker]:
    """Rankers by their names; the first also by its likelihoods."""
    found: dict[str, Ranker] = {}
    for name, scorer in scorers.items():
        own = ModelRankers(scorer, contexts)
        found[name] = own.by_information
        if len(found) == 1:
            found[LIKELIHOOD] = own.by_likelihood
    return found
