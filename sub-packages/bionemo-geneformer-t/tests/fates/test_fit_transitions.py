"""What is fitted is what makes known successors probable, beside what chance would."""

from dataclasses import replace

import numpy as np
import pytest
from random_axes import random_axes
from scipy.special import log_softmax

from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.fates.fit_transitions import (
    HeldOut,
    choose_number,
    fit_from_splits,
    fit_transitions,
    held_out,
    likelihoods,
    scores_along_axes,
    scores_of_options,
)
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged


def planted(temperature: float, cells: int = 60, seed: int = 0):
    """Scores, and the probabilities of successors that follow them at this temperature."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=3 * temperature, size=(cells, cells))
    np.fill_diagonal(scores, -np.inf)
    return scores, np.exp(log_softmax(scores / temperature, axis=1))


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_the_temperature_that_made_the_successors_is_found(temperature) -> None:
    scores, truth = planted(temperature)
    choice, spread, likelihood = choose_number(scores, truth, TransitionChoice())
    assert choice.temperature == temperature
    assert spread < 0.05
    assert likelihood > -np.log(59)


def test_likelihoods_are_means_over_true_successors() -> None:
    logits = np.log([[0.5, 0.25, 0.25, 0.0 + 1e-300]])
    truth = np.array([[0.5, 0.5, 0.0, 0.0]])
    expected = (np.log(0.5) + np.log(0.25)) / 2
    np.testing.assert_allclose(likelihoods(logits, truth), expected)
    logits[0, 1] = -np.inf
    assert likelihoods(logits, truth)[0] == -np.inf
    kept = (np.log(0.7 * 2 / 3 + 0.1) + np.log(0.1)) / 2
    np.testing.assert_allclose(likelihoods(logits, truth, spread=0.3), kept)


def test_no_more_successors_are_kept_than_are_needed() -> None:
    scores, _ = planted(1.0)
    highest = np.argsort(-scores, axis=1)[:, :3]
    truth = np.zeros_like(scores)
    np.put_along_axis(truth, highest, 1 / 3, axis=1)
    assert choose_number(scores, truth, TransitionChoice())[0].num_successors == 5
    nothing = np.where(np.isinf(scores), 0, 1 / 59)  # scores do not matter: all are needed
    assert choose_number(scores, nothing, TransitionChoice())[0].num_successors > 30


@pytest.fixture
def held(scored, gene_vocab) -> HeldOut:
    """Cells that are followed as the model prefers, at a temperature of 2 nats."""
    rng = np.random.default_rng(4)
    cells = Ragged.of([rng.choice(gene_vocab.gene_ids, 20, replace=False) for _ in range(24)])
    itself = np.arange(24)
    held = HeldOut(contexts=cells, candidates=cells, itself=itself, truth=np.zeros((24, 24)))
    options = scores_of_options(scored.model, held, cells)
    scores = next(s for choice, s in options if choice.num_ranks == 23)
    return replace(held, truth=np.exp(log_softmax(scores / 2, axis=1)))


def test_what_the_model_prefers_is_found_again(scored, held) -> None:
    fit = fit_transitions(scored.model, held.contexts, held)
    assert fit.choice.num_ranks == 23
    assert fit.choice.temperature == pytest.approx(2.0)
    assert not fit.choice.use_memory
    assert (fit.num_contexts, fit.num_candidates) == (24, 23)
    assert fit.log_likelihood > fit.uniform == pytest.approx(-np.log(23))
    assert "24 validation cells among 23 candidates" in str(fit)
    again = TransitionFit.from_dict(fit.to_dict())
    assert str(again) == str(fit)


def test_options_are_the_scores_of_candidates(scored, memory, held) -> None:
    """Of every number of ranks, although all come from one table."""
    scored.model.memory = memory
    few = held.contexts.take(np.arange(7))
    for choice, scores in scores_of_options(scored.model, held, few):
        found = candidate_scores(
            scored.model, held.contexts, held.candidates, references=few,
            num_ranks=choice.num_ranks, use_memory=choice.use_memory, exclude_self=True,
        )  # fmt: skip
        expected = np.take_along_axis(scores, found.candidates, axis=1)
        np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-4)


def test_a_split_gives_its_cells_and_successors(tiny_data_dir, untrained_checkpoint) -> None:
    model = load_model(untrained_checkpoint)
    training, validation = (open_split(model, tiny_data_dir / name) for name in ("train", "val"))
    rng = np.random.default_rng(0)
    held = held_out(model, validation, rng)
    current = np.unique(validation.graph.current)
    np.testing.assert_array_equal(held.itself, current)
    expected = validation.graph.to_matrix().toarray()[current]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(held.truth, expected)
    encoded = validation.tokens.encode(int(current[0]))[: model.pair_settings.genes_per_cell]
    np.testing.assert_array_equal(held.contexts.row(0), encoded)
    fit = fit_from_splits(model, training, validation, rng)
    assert fit is not None
    assert len(fit.references) == len(training.cells)
    validation.graph = NeighborGraph.empty(len(validation.tokens))
    assert fit_from_splits(model, training, validation, rng) is None


def test_canonical_axes_get_the_weight_with_which_successors_were_made(scored, held) -> None:
    model = scored.model
    model.axes = random_axes(len(model.vocab), 23, seed=3)
    of_axes = scores_along_axes(model, held)
    np.fill_diagonal(of_axes, -np.inf)
    alone = replace(held, truth=np.exp(log_softmax(of_axes * 0.5, axis=1)))
    fit = fit_transitions(model, held.contexts, alone)
    assert fit.choice.axes_weight / fit.choice.temperature == pytest.approx(0.5, rel=0.5)
    network = fit_transitions(model, held.contexts, held)
    assert network.choice.axes_weight / network.choice.temperature < 0.1
    model.axes = None
    assert scores_along_axes(model, held) is None
    assert fit_transitions(model, held.contexts, held).choice.axes_weight == 0
