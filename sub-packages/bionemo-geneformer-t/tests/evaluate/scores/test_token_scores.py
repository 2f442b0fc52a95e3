import numpy as np
import pytest
from scored import score_tokens

from bionemo.geneformer_t.evaluate.baselines.uniform import Uniform
from bionemo.geneformer_t.evaluate.scores.token_scores import position_measures


def perfect(pairs):
    """Knows each current cell's only successor."""
    answers = {
        tuple(target.context): target.next_cells[0]
        for target in pairs.keep(np.diff(pairs.current, prepend=-1) > 0).targets()
    }

    def predict(contexts, num_ranks):
        log_probs = np.full((len(contexts), num_ranks, pairs.vocab_size), -np.inf)
        log_probs[:, :, pairs.gene_ids[0]] = 0  # ranks that nobody asks about
        for one, context in zip(log_probs, contexts, strict=True):
            genes = answers[tuple(context)]
            one[: len(genes)] = -np.inf
            one[np.arange(len(genes)), genes] = 0
        return log_probs

    return predict


def test_a_perfect_predictor_has_no_loss_and_every_hit(random_split) -> None:
    pairs = random_split()
    only_one = pairs.keep(np.diff(pairs.current, prepend=-1) > 0)
    scores = score_tokens(perfect(pairs), only_one)
    for part in (scores.all.scores, scores.changed.scores):
        assert (part.cross_entropy, part.top1, part.top10, part.top100) == (0, 1, 1, 1)


def test_a_uniform_predictor_scores_chance(random_split) -> None:
    pairs = random_split()
    scores = score_tokens(Uniform.over(pairs.gene_ids, pairs.vocab_size), pairs).all.scores
    assert scores.cross_entropy == pytest.approx(np.log(20), rel=1e-6)
    assert (scores.top1, scores.top10, scores.top100) == pytest.approx((1 / 20, 1 / 2, 1))


def test_answers_for_other_cells_are_no_better_than_they_deserve(random_split) -> None:
    pairs = random_split()
    only_one = pairs.keep(np.diff(pairs.current, prepend=-1) > 0)
    knows = perfect(pairs)

    def permuted(contexts, num_ranks):
        answers = knows(contexts[1:] + contexts[:1], num_ranks)
        uniform = np.zeros(pairs.vocab_size)
        uniform[pairs.gene_ids] = 1 / len(pairs.gene_ids)
        with np.errstate(divide="ignore"):
            return np.log(0.5 * np.exp(answers) + 0.5 * uniform)

    scores = score_tokens(permuted, only_one).all.scores
    assert scores.top1 < 0.2
    assert scores.cross_entropy > np.log(20)


def test_pairs_count_by_their_weight(split_of) -> None:
    pairs = split_of([[5], [6], [7]], {0: {1: 3.0, 2: 1.0}})
    log_probs = np.log(np.full(25, 0.02))
    log_probs[6], log_probs[7] = np.log(0.4), np.log(0.1)
    scores = score_tokens(lambda c, r: np.tile(log_probs, (len(c), r, 1)), pairs)
    expected = -(0.75 * np.log(0.4) + 0.25 * np.log(0.1))
    assert scores.all.scores.cross_entropy == pytest.approx(expected)
    assert scores.all.scores.top1 == pytest.approx(0.75)


def test_changed_genes_are_those_the_whole_current_cell_lacks(split_of) -> None:
    pairs = split_of([[5, 6, 7], [7, 9]], {0: {1: 1.0}}, max_genes=2)
    scores = score_tokens(Uniform.over(pairs.gene_ids, pairs.vocab_size), pairs)
    assert scores.all.positions.tolist() == [2]
    assert scores.changed.positions.tolist() == [1]  # 7 is expressed, though below the cut


def test_without_changed_genes_their_scores_are_nan(split_of) -> None:
    pairs = split_of([[5, 6], [6, 5]], {0: {1: 1.0}})
    scores = score_tokens(Uniform.over(pairs.gene_ids, pairs.vocab_size), pairs)
    assert np.isnan(scores.changed.scores.cross_entropy)


def test_hits_agree_with_sorting_when_there_are_no_ties() -> None:
    rng = np.random.default_rng(0)
    log_probs, genes = rng.normal(size=(50, 300)), rng.integers(300, size=50)
    place = (np.argsort(-log_probs, axis=1) == genes[:, None]).argmax(axis=1)
    measures = position_measures(log_probs, genes)
    np.testing.assert_allclose(measures[:, 0], -log_probs[np.arange(50), genes])
    for column, k in enumerate((1, 10, 100), start=1):
        np.testing.assert_array_equal(measures[:, column], place < k)
