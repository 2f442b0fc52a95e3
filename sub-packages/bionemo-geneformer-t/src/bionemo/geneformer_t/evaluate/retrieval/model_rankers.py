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
    axes_to_score,
    fitted_choice,
    ranks_to_score,
)
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.ragged import Ragged

NETWORK, LIKELIHOOD = "the network alone", "raw likelihood of the model"
AXES = "canonical axes alone"


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
        """Pointwise mutual information, in nats, with that along canonical axes."""
        of_axes = self._scorer.along_axes(self._contexts.take(contexts))
        return self._of_network(contexts) + of_axes

    def by_likelihood(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        """Log-probabilities, which are not relative to other contexts."""
        return self._of_network(contexts) + self._scorer.log_mean

    def by_axes(self, contexts: Int[ndarray, " context"]) -> Float[ndarray, "context candidate"]:
        """What canonical axes say alone."""
        found: ndarray = np.asarray(self._scorer.along_axes(self._contexts.take(contexts)))
        return found

    def _of_network(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        if self._last is None or not np.array_equal(self._last[0], contexts):
            self._last = contexts, self._scorer.network_scores(self._contexts.take(contexts))
        return self._last[1]


def encoded(pairs: CellPairs, rows: Int[ndarray, " cell"]) -> Ragged:
    """The genes of some cells in rank order."""
    return Ragged.of([pairs.encode(int(row)) for row in rows])


def scorer_of(
    model: NextCellModel,
    candidates: Ragged,
    training: CellPairs,
    rng: np.random.Generator,
    *,
    is_whole: bool = True,
) -> CandidateScorer:
    """Scores of candidates by a model, relative to its reference contexts.

    Args:
        model: With fitted transitions or without.
        candidates: Genes of each in rank order.
        training: Reference contexts are drawn from it for a model without a fit.
        rng: Draws them.
        is_whole: Use the kNN memory and the canonical axes as the model's transitions do; otherwise
            the network alone.
    """
    if model.transitions is None:
        some = training.draw_cells(NUM_REFERENCES, rng)
        references = encoded(some, some.cells)
    else:
        references = model.transitions.references
    choice = fitted_choice(model)
    num_ranks = ranks_to_score(model, None, choice.num_ranks)
    use_memory = is_whole and choice.use_memory
    weight = choice.axes_weight if is_whole and model.axes is not None else 0.0
    axes = axes_to_score(model, weight)
    held = Candidates.of(candidates, num_ranks, model.required_vocab(), axes)
    return CandidateScorer(model, held, references, use_memory=use_memory, axes_weight=weight)


def scorers_of(
    own: NextCellModel,
    shuffled: NextCellModel | None,
    search: CandidateSearch,
    pairs: CellPairs,
    training: CellPairs,
    rng: np.random.Generator,
) -> dict[str, CandidateScorer]:
    """The model as in its transitions, its network alone where that is not all, and its control.

    Args:
        own: The model.
        shuffled: Its control, trained on shuffled successors.
        search: With the candidates.
        pairs: Encodes them.
        training: As for `scorer_of`.
        rng: The same cells are drawn for each.
    """
    candidates, seed = encoded(pairs, search.candidates), int(rng.integers(2**32))

    def scorer(model: NextCellModel, *, is_whole: bool = True) -> CandidateScorer:
        draws = np.random.default_rng(seed)
        return scorer_of(model, candidates, training, draws, is_whole=is_whole)

    found = {MODEL: scorer(own)}
    if found[MODEL].axes_weight or (own.memory is not None and fitted_choice(own).use_memory):
        found[NETWORK] = scorer(own, is_whole=False)
    if shuffled is not None:
        found[SHUFFLED] = scorer(shuffled)
    return found


def by_models(scorers: Mapping[str, CandidateScorer], contexts: Ragged) -> dict[str, Ranker]:
    """Rankers by their names; the first also by its likelihoods, and along its canonical axes."""
    found: dict[str, Ranker] = {}
    for name, scorer in scorers.items():
        own = ModelRankers(scorer, contexts)
        found[name] = own.by_information
        if len(found) == 1:
            found[LIKELIHOOD] = own.by_likelihood
            if scorer.axes_weight:
                found[AXES] = own.by_axes
    return found
