"""Fit the settings of transitions on validation cells, by the likelihood of their true successors.

Ranks, use of the kNN memory, temperature and weight of the canonical axes are those under which the
softmax over all candidates gives the true successors the highest likelihood. Then fewer candidates
are kept: a matrix of k of them is judged as (1 - spread) * matrix + spread * equal probabilities,
since a true successor that is not kept would have the probability 0; and k is the smallest number
whose likelihood is within one standard error of the best (the one-standard-error rule of Breiman et
al. 1984, section 3.4.3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import log_softmax, logsumexp

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.fates.candidate_scores import NUM_REFERENCES, ranks_to_score
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.context_tables import context_tables, summed_entries
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged

MAX_CONTEXTS = 200
"""Validation cells whose successors are looked for, drawn at random where there are more."""
MAX_CANDIDATES = 2_000
"""Validation cells that they are looked for among, likewise."""
NUM_RANKS = (32, 64, 128, 256)
TEMPERATURES = tuple(2.0 ** (step / 2) for step in range(-2, 15))
"""From 0.5 to 128 nats."""
AXES_SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Weights of the canonical axes, divided by the temperature."""
LESS_OF_THE_NETWORK = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""What the best temperature of the network alone is multiplied by beside canonical axes."""
NUM_SUCCESSORS = (5, 10, 20, 30, 50, 100)
AROUND = tuple(2.0 ** (step / 2) for step in range(-8, 5))
"""What the temperature over all candidates is multiplied by where fewer are kept."""
SPREADS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Weights of equal probabilities."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Validation cells, the candidates, and which of these truly follow."""

    contexts: Ragged
    candidates: Ragged
    itself: Int[ndarray, " context"]
    """Which candidate each context is."""
    truth: Float[ndarray, "context candidate"]
    """Probabilities of the true successors; rows sum to 1."""


def fit_from_splits(
    model: NextCellModel,
    training: TemporalGeneformerDataset,
    validation: TemporalGeneformerDataset,
    rng: np.random.Generator,
) -> TransitionFit | None:
    """Fit the transitions of a trained model; None where no validation cell has a successor.

    Args:
        model: Trained on next cells.
        training: Reference contexts are drawn from its current cells.
        validation: Cells that the model was not trained on.
        rng: Draws cells where there are many.
    """
    held = held_out(model, validation, rng)
    if not len(held.contexts) or not len(training.cells):
        return None
    drawn = np.sort(rng.permutation(training.cells)[:NUM_REFERENCES])
    return fit_transitions(model, _encoded(model, training, drawn), held)


def fit_transitions(model: NextCellModel, references: Ragged, held: HeldOut) -> TransitionFit:
    """Choose ranks, memory, temperature and number of successors.

    Args:
        model: Trained on next cells.
        references: Contexts that scores are relative to.
        held: Contexts with their true successors.
    """
    of_axes, options = scores_along_axes(model, held), scores_of_options(model, held, references)
    best, scores, _ = max(_tried(options, of_axes, held.truth), key=lambda tried: tried[2])
    choice, spread, likelihood = choose_number(scores, held.truth, best)
    return TransitionFit(
        choice=choice,
        references=references,
        num_contexts=len(held.contexts),
        num_candidates=len(held.candidates) - 1,
        spread=spread,
        log_likelihood=likelihood,
        uniform=-float(np.log(len(held.candidates) - 1)),
    )


def held_out(
    model: NextCellModel, validation: TemporalGeneformerDataset, rng: np.random.Generator
) -> HeldOut:
    """Cells of a split as candidates, and those of them that others of them follow as contexts."""
    filled = np.flatnonzero(np.asarray(validation.tokens.num_genes) > 0)
    rows = np.sort(rng.permutation(filled)[:MAX_CANDIDATES])
    inside = validation.graph.to_matrix()[rows][:, rows]
    followed = np.flatnonzero(np.diff(inside.indptr))
    current = np.sort(rng.permutation(followed)[:MAX_CONTEXTS])
    weights = inside[current].toarray()
    return HeldOut(
        contexts=_encoded(model, validation, rows[current]),
        candidates=_encoded(model, validation, rows),
        itself=current,
        truth=weights / weights.sum(axis=1, keepdims=True),
    )


def scores_of_options(
    model: NextCellModel, held: HeldOut, references: Ragged
) -> list[tuple[TransitionChoice, Float[ndarray, "context candidate"]]]:
    """The mutual information of all candidates, for each number of ranks, with memory or without.

    A context's table of the most ranks holds those of fewer, so each is encoded once.
    """
    most = ranks_to_score(model, None, max(NUM_RANKS))
    candidates = Candidates.of(held.candidates, most, model.required_vocab())
    cut = [candidates.truncated(n) for n in sorted({min(number, most) for number in NUM_RANKS})]
    memories = [model.memory, None] if model.memory is not None else [None]

    def given(cells: Ragged) -> Float[ndarray, "memory number context candidate"]:
        found = np.empty((len(memories), len(cut), len(cells), len(candidates)))
        for batch, tables in context_tables(model, candidates, cells, memories):
            for i, table in enumerate(tables):
                for j, some in enumerate(cut):
                    sums = summed_entries(table, some, slice(None))
                    found[i, j, batch] = sums.T.cpu().numpy()
        return found

    log_mean = logsumexp(given(references), axis=2, keepdims=True) - np.log(len(references))
    scores = given(held.contexts) - log_mean
    scores[:, :, np.arange(len(held.itself)), held.itself] = -np.inf
    return [
        (TransitionChoice(num_ranks=some.num_ranks, use_memory=memory is not None), scores[i, j])
        for i, memory in enumerate(memories)
        for j, some in enumerate(cut)
    ]


def scores_along_axes(
    model: NextCellModel, held: HeldOut
) -> Float[ndarray, "context candidate"] | None:
    """What the canonical axes say of all candidates; None for a model without axes."""
    if model.axes is None:
        return None
    points = model.axes.expected(held.contexts), model.axes.observed(held.candidates)
    return model.axes.information(*points).astype(np.float64)


def _tried(
    options: Sequence[tuple[TransitionChoice, Float[ndarray, "context candidate"]]],
    of_axes: Float[ndarray, "context candidate"] | None,
    truth: Float[ndarray, "context candidate"],
) -> Iterator[tuple[TransitionChoice, Float[ndarray, "context candidate"], float]]:
    """Choices with their scores, and how probable these make the true successors.

    Weights of the canonical axes are tried beside temperatures from the best one of the network
    alone upwards, as the axes take over some of what it says.
    """

    def judged(scores: ndarray, choice: TransitionChoice) -> float:
        return float(likelihoods(scores / choice.temperature, truth).mean())

    for option, scores in options:
        alone = [replace(option, temperature=temperature) for temperature in TEMPERATURES]
        found = [judged(scores, choice) for choice in alone]
        first = int(np.argmax(found))
        yield alone[first], scores, found[first]
        if of_axes is None:
            continue
        for share, less in product(AXES_SHARES, LESS_OF_THE_NETWORK):
            temperature = alone[first].temperature * less
            both = replace(option, temperature=temperature, axes_weight=share * temperature)
            joined = scores + both.axes_weight * of_axes
            yield both, joined, judged(joined, both)


def likelihoods(
    logits: Float[ndarray, "context candidate"],
    truth: Float[ndarray, "context candidate"],
    spread: float = 0.0,
) -> Float[ndarray, " context"]:
    """The mean log-probability of each context's true successors, in nats.

    Args:
        logits: Of the softmax over candidates; -inf for those that are not kept.
        truth: Probabilities of the true successors.
        spread: Weight of equal probabilities of all candidates but one, the context itself.
    """
    log_probs = log_softmax(logits, axis=1)
    if spread:
        even = np.log(spread / (logits.shape[1] - 1))
        log_probs = np.logaddexp(log_probs + np.log1p(-spread), even)
    terms = np.zeros_like(log_probs)
    np.multiply(truth, log_probs, out=terms, where=truth > 0)
    summed: Float[ndarray, " context"] = terms.sum(axis=1)
    return summed


def choose_number(
    scores: Float[ndarray, "context candidate"],
    truth: Float[ndarray, "context candidate"],
    choice: TransitionChoice,
) -> tuple[TransitionChoice, float, float]:
    """The smallest number of successors within one standard error, its spread and likelihood.

    The temperature is chosen again for each number, since fewer candidates can be told apart less.
    """
    available = scores.shape[1] - 1
    numbers = sorted({min(number, available) for number in NUM_SUCCESSORS})
    temperatures = [choice.temperature * factor for factor in AROUND]
    order = np.argsort(-scores, axis=1, kind="stable")
    tried = []
    for number in numbers:
        kept = np.full_like(scores, -np.inf)
        highest = order[:, :number]
        np.put_along_axis(kept, highest, np.take_along_axis(scores, highest, axis=1), axis=1)
        tried.append(
            max(
                (
                    (likelihoods(kept / temperature, truth, spread), temperature, spread)
                    for temperature in temperatures
                    for spread in SPREADS
                ),
                key=lambda found: found[0].mean(),
            )
        )
    best = max(tried, key=lambda found: found[0].mean())[0]
    for number, (found, temperature, spread) in zip(numbers, tried, strict=True):
        lost = best - found
        if lost.mean() <= lost.std() / np.sqrt(len(lost)):
            chosen = replace(choice, num_successors=number, temperature=temperature)
            return chosen, spread, float(found.mean())
    raise AssertionError("the best is within an error of itself")


def _encoded(
    model: NextCellModel, dataset: TemporalGeneformerDataset, rows: Int[ndarray, " cell"]
) -> Ragged:
    found = dataset.tokens.rows_of(rows) if len(rows) else []
    cells = [np.asarray(genes, dtype=np.int64) for genes in found]
    return Ragged.of(cells).truncated(genes_per_cell(model))
