"""The contrastive term equals what a textbook model computes pair by pair, and isolates cells."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from small_steps import VOCAB, pairs_of, small_config
from textbook import Pair, packed, textbook_inputs, textbook_loss, textbook_model

from bionemo.geneformer_t.batch import NO_GENE, TemporalBatch, pack
from bionemo.geneformer_t.model import contrastive_loss as module
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.contrastive_loss import TEMPERATURE, contrastive_loss
from bionemo.geneformer_t.model.network import NextCellBert

MASK_ID = 1
SIZES = [(40, 30, 5), (3, 60, 60), (61, 2, 1), (17, 17, 3)]
"""Genes of the current cell, of the next cell, and how many of these are scored."""
RANKS = torch.tensor([1, 2, 5, 17, 18, 44, 60])
LEFT_OUT = torch.tensor([2, 7])
"""The third next cell follows the first context too, and the fourth the second."""
WEIGHT = 0.7


def with_contrast(batch: TemporalBatch, seed: int = 0) -> TemporalBatch:
    """The batch of SIZES with what the term compares; each next cell has genes up to its end."""
    genes = np.random.default_rng(seed).integers(5, VOCAB, (len(batch.next_cells), len(RANKS)))
    lengths = np.array([next_genes for _, next_genes, _ in SIZES])
    genes[RANKS.numpy() > lengths[:, None]] = NO_GENE
    return replace(
        batch,
        contrast_ranks=RANKS,
        contrast_genes=torch.from_numpy(genes.ravel()),
        contrast_left_out=LEFT_OUT,
    )


def textbook_term(oracle, pairs: list[Pair], batch: TemporalBatch, config) -> torch.Tensor:
    """A whole pass for each pair of a context and a next cell whose genes are all masked."""
    genes = batch.contrast_genes.view(len(pairs), -1)
    scores = torch.zeros(len(pairs), len(pairs), dtype=torch.float64)
    for i, j in product(range(len(pairs)), repeat=2):
        is_there = genes[j] != NO_GENE
        ranks, labels = RANKS[is_there].numpy(), genes[j][is_there]
        shown = np.full(len(pairs[j].shown), MASK_ID)
        pair = replace(pairs[i], shown=shown, ranks=ranks, labels=labels.numpy())
        inputs = textbook_inputs([pair], config)
        mean = textbook_loss(oracle, inputs)
        scores[i, j] = -mean.double() * len(ranks)
    terms = []
    for j in range(len(pairs)):
        compared = [i for i in range(len(pairs)) if i * len(pairs) + j not in LEFT_OUT]
        column = scores[compared, j] / TEMPERATURE
        terms.append(-column.log_softmax(0)[compared.index(j)])
    return torch.stack(terms).mean().float()


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("scheme", ["continued", "restarted"])
def test_both_losses_and_their_gradients_are_the_textbooks(scheme, one_by_one, monkeypatch):
    if one_by_one:  # a context at a time, and computed again in the backward pass
        monkeypatch.setattr(module, "rows_per_chunk", lambda *_: 1)
    torch.manual_seed(0)
    config = small_config(position_scheme=scheme)
    net = NextCellBert(config)
    pairs = pairs_of(SIZES)
    batch = with_contrast(packed(pairs))
    summed, term = net.losses(batch, ATTENTION_BACKENDS["per_cell"], MASK_ID)
    (summed / batch.num_scored + WEIGHT * term).backward()

    oracle = textbook_model(net)
    expected_mean = textbook_loss(oracle, textbook_inputs(pairs, config))
    expected_term = textbook_term(oracle, pairs, batch, config)
    (expected_mean + WEIGHT * expected_term).backward()
    expected_mean, expected_term = expected_mean.detach(), expected_term.detach()
    term, summed = term.detach(), summed.detach()
    assert float(term) > 0.1  # the oracle has something to disagree with
    assert float(term) == pytest.approx(float(expected_term), rel=1e-5)
    assert float(summed) == pytest.approx(float(expected_mean) * batch.num_scored, rel=1e-5)
    expected = {n: p.grad for n, p in oracle.named_parameters(remove_duplicate=False)}
    scale = max(float(g.norm()) for g in expected.values())
    for name, parameter in net.named_parameters():
        off = float((parameter.grad - expected[name]).norm())
        # the bias of a key moves all scores of a query alike: its gradient is zero but for rounding
        size = scale if name.endswith("self.key.bias") else float(expected[name].norm())
        assert off <= 1e-4 * size, name


def test_with_a_bias_by_rank_the_scores_are_sums_of_the_logits_log_softmax():
    torch.manual_seed(3)
    net = NextCellBert(small_config(rank_knots=5))
    torch.nn.init.normal_(net.cls.predictions.rank_bias.change)
    hidden, ranks = torch.randn(3 * len(RANKS), 32), RANKS.repeat(3)
    genes = torch.randint(5, VOCAB, (4, len(RANKS)))
    scores = net.cls.predictions.origin_scores(hidden, ranks, genes).detach()
    log_probs = net.cls.predictions(hidden, ranks).log_softmax(-1).detach()
    log_probs = log_probs.view(3, len(RANKS), -1)
    for i, j in product(range(3), range(4)):
        expected = sum(log_probs[i, r, genes[j, r]] for r in range(len(RANKS)))
        assert float(scores[i, j]) == pytest.approx(float(expected), rel=1e-5)


def test_the_cross_entropy_is_that_of_a_pass_without_the_term():
    torch.manual_seed(1)
    net = NextCellBert(small_config())
    attend, plain = ATTENTION_BACKENDS["per_cell"], packed(pairs_of(SIZES))
    summed, _ = net.losses(with_contrast(plain), attend, MASK_ID)
    torch.testing.assert_close(summed, net.summed_loss(plain, attend))


def test_one_pair_has_no_counterexample_and_no_cell_has_no_term():
    torch.manual_seed(1)
    net = NextCellBert(small_config())
    alone = replace(
        packed(pairs_of([(9, 9, 3)])),
        contrast_ranks=torch.tensor([1, 4]),
        contrast_genes=torch.tensor([7, 8]),
    )
    for batch in (alone, pack([])):
        net.zero_grad()
        summed, term = net.losses(batch, ATTENTION_BACKENDS["per_cell"], MASK_ID)
        assert term.item() == 0
        (summed + term).backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_equal_contexts_are_told_apart_by_nothing_and_left_out_ones_do_not_count():
    scores, own = torch.zeros(4, 3), torch.tensor([0, 1, 3])
    none = torch.zeros(0, dtype=torch.int64)
    assert float(contrastive_loss(scores, own, none)) == pytest.approx(np.log(4))
    others = torch.tensor([3, 6, 9])  # of the first next cell
    expected = 2 * np.log(4) / 3
    assert float(contrastive_loss(scores, own, others)) == pytest.approx(expected)


def test_a_score_depends_on_its_own_context_and_its_own_next_cell_alone(monkeypatch):
    torch.manual_seed(2)
    net, seen = NextCellBert(small_config()), []

    def noting(scores, *rest):
        seen.append(scores.detach())
        return contrastive_loss(scores, *rest)

    monkeypatch.setattr("bionemo.geneformer_t.model.network.contrastive_loss", noting)
    batch = with_contrast(packed(pairs_of(SIZES)))
    genes, contexts, shown = (
        tensor.clone() for tensor in (batch.contrast_genes, batch.context_ids, batch.scored_ids)
    )
    genes[len(RANKS)] += 1  # of next cell 1
    contexts[int(batch.context_offsets[2]) + 1] += 1  # of context 2
    shown[:] = MASK_ID
    for changed in (
        {},
        {"contrast_genes": genes},
        {"context_ids": contexts},
        {"scored_ids": shown},
    ):
        net.losses(replace(batch, **changed), ATTENTION_BACKENDS["per_cell"], MASK_ID)
    before, with_genes, with_context, with_shown = seen
    moved = [
        (before - after).abs().amax(dim) > 0 for after, dim in ((with_genes, 0), (with_context, 1))
    ]
    assert moved[0].tolist() == [False, True, False, False]
    assert moved[1].tolist() == [False, False, True, False]
    torch.testing.assert_close(before, with_shown)
