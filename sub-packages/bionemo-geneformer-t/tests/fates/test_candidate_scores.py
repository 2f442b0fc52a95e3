"""Scores are sums of log-probabilities, whatever the blocks, relative to reference contexts."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from textbook import Pair, textbook_inputs, textbook_model

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, MASK, SEP

RANKS = 12


def dense(found) -> np.ndarray:
    """Scores in the order of the candidates."""
    scores = np.full(found.scores.shape, np.nan)
    np.put_along_axis(scores, found.candidates, found.scores, axis=1)
    return scores


def by_textbook(scored) -> np.ndarray:
    """Log-probabilities of every pair by the textbook model, one full pass for each pair."""
    model, vocab = scored.model, scored.model.vocab
    head = model.net.cls.predictions
    bias, head.rank_bias = head.rank_bias, None  # the textbook has none: it is added below
    oracle = textbook_model(model.net)
    head.rank_bias = bias
    no_genes = [*vocab.special_ids, *range(len(vocab), model.config.vocab_size)]
    sums = np.zeros((len(scored.contexts), len(scored.candidates)))
    for i, context in enumerate(scored.contexts.rows()):
        framed = np.concatenate([[vocab.ids[CLS]], context[:23], [vocab.ids[SEP]]])
        for j, candidate in enumerate(scored.candidates.rows()):
            genes = candidate[:RANKS]
            ranks = np.arange(1, len(genes) + 1)
            masked = np.full(len(genes), vocab.ids[MASK])
            pair = Pair(context=framed, shown=masked, ranks=ranks, labels=genes)
            inputs = textbook_inputs([pair], model.config)
            del inputs["labels"]
            with torch.no_grad():
                logits = oracle(**inputs).logits[0, len(framed) : len(framed) + len(genes)]
                if bias is not None:
                    logits = logits + bias(torch.from_numpy(ranks))
            logits[:, no_genes] = -np.inf
            log_probs = logits.double().log_softmax(-1).numpy()
            sums[i, j] = log_probs[np.arange(len(genes)), genes].sum() * RANKS / len(genes)
    return sums


def test_likelihoods_are_sums_of_the_textbook_models_log_probabilities(scored) -> None:
    found = candidate_scores(
        scored.model, scored.contexts, scored.candidates, score="likelihood", num_ranks=RANKS
    )
    np.testing.assert_allclose(dense(found), by_textbook(scored), rtol=1e-5)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_with_a_memory_they_are_sums_of_the_models_distributions(scored, memory) -> None:
    scored.model.memory = memory
    for use_memory in (True, False):
        found = candidate_scores(
            scored.model, scored.contexts, scored.candidates, score="likelihood",
            num_ranks=RANKS, use_memory=use_memory,
        )  # fmt: skip
        scored.model.memory = memory if use_memory else None
        log_probs = scored.model.rank_distributions(scored.contexts.truncated(23), RANKS)
        expected = np.zeros((len(scored.contexts), len(scored.candidates)))
        for j, candidate in enumerate(scored.candidates.truncated(RANKS).rows()):
            of_genes = log_probs[:, np.arange(len(candidate)), candidate].double().sum(dim=1)
            expected[:, j] = of_genes * RANKS / len(candidate)
        np.testing.assert_allclose(dense(found), expected, rtol=1e-5)
        scored.model.memory = memory


def test_mutual_information_is_relative_to_the_mean_over_references(scored) -> None:
    def ask(contexts: Ragged, **options) -> np.ndarray:
        return dense(
            candidate_scores(scored.model, contexts, scored.candidates, num_ranks=RANKS, **options)
        )

    raw = ask(scored.contexts, score="likelihood")
    references = scored.contexts.take(np.array([0, 2, 5]))
    mean = logsumexp(ask(references, score="likelihood"), axis=0) - np.log(3)
    np.testing.assert_allclose(ask(scored.contexts, references=references), raw - mean, rtol=1e-5)
    own = logsumexp(raw, axis=0) - np.log(len(raw))
    np.testing.assert_allclose(ask(scored.contexts), raw - own, rtol=1e-5)


@pytest.mark.parametrize(("candidates_at_once", "contexts_at_once"), [(1, 1), (3, 4), (100, 100)])
def test_blocks_of_any_size_give_the_same(
    scored, memory, candidates_at_once, contexts_at_once
) -> None:
    scored.model.memory = memory

    def ask(**blocks):
        return candidate_scores(
            scored.model, scored.contexts, scored.candidates, number=4, num_ranks=RANKS, **blocks
        )

    found = ask(candidates_at_once=candidates_at_once, contexts_at_once=contexts_at_once)
    np.testing.assert_array_equal(found.candidates, ask().candidates)
    np.testing.assert_allclose(found.scores, ask().scores, rtol=1e-5, atol=1e-4)


def test_the_highest_are_kept_and_a_cell_is_not_its_own_candidate(scored) -> None:
    cells = scored.contexts
    whole = dense(candidate_scores(scored.model, cells, cells, num_ranks=RANKS))
    np.fill_diagonal(whole, -np.inf)
    found = candidate_scores(
        scored.model, cells, cells, number=3, num_ranks=RANKS, exclude_self=True,
        candidates_at_once=2,
    )  # fmt: skip
    expected = np.argsort(-whole, axis=1)[:, :3]
    np.testing.assert_array_equal(found.candidates, expected)


def test_depth_does_not_decide(scored) -> None:
    """Genes below the ranks that count change nothing, and fewer do not make a cell more likely."""
    deep = scored.candidates.take(np.array([3]))
    shallow = deep.truncated(4)
    cells = Ragged.of([deep.row(0), deep.row(0)[:RANKS], shallow.row(0)])
    found = dense(
        candidate_scores(scored.model, scored.contexts, cells, score="likelihood", num_ranks=RANKS)
    )
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    at_four = candidate_scores(
        scored.model, scored.contexts, shallow, score="likelihood", num_ranks=4
    )
    np.testing.assert_allclose(found[:, 2] / RANKS, at_four.scores[:, 0] / 4, rtol=1e-5)


def test_what_cannot_be_scored_is_refused(scored) -> None:
    model, cells = scored.model, scored.candidates
    foreign = Ragged.of([np.array([len(model.vocab) + 1])])
    with pytest.raises(ValueError, match="hold the id 66, which is no gene"):
        candidate_scores(model, cells, foreign)
    special = Ragged.of([np.array([model.vocab.ids[CLS]])])
    with pytest.raises(ValueError, match="without special tokens"):
        candidate_scores(model, cells, special)
    with pytest.raises(ValueError, match="between 1 and 8, the candidates of each context; got 9"):
        candidate_scores(model, cells, cells, number=9)
    with pytest.raises(ValueError, match="1 of 2 candidates have no genes"):
        candidate_scores(model, cells, Ragged.of([cells.row(0), np.zeros(0, np.int64)]))
    with pytest.raises(ValueError, match="exclude_self"):
        candidate_scores(model, cells, cells.take(np.array([1])), exclude_self=True)
    with pytest.raises(ValueError, match="num_ranks must be between 1 and 23"):
        candidate_scores(model, cells, cells, num_ranks=0)
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="axes_weight must be finite and not negative"):
            candidate_scores(model, cells, cells, axes_weight=weight)
    with pytest.raises(ValueError, match="a model without axes"):
        candidate_scores(model, cells, cells, axes_weight=1.0)
    model.pair_settings = PairSettings(objective="mlm", seq_length=49)
    with pytest.raises(ValueError, match="objective 'mlm'"):
        candidate_scores(model, cells, cells)
