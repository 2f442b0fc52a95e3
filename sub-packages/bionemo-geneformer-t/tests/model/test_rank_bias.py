"""The bias by rank: linear between knots, alike in logits and loss, and frequencies at start."""

import pytest
import torch
import torch.nn.functional as F

from bionemo.geneformer_t.batch import ScoredGenes, TemporalExample, pack
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.rank_bias import LAST_KNOT, RankBias, hats, knots

CPU = torch.device("cpu")


def test_knots_rise_from_the_first_rank_to_the_last_and_lie_denser_at_the_top() -> None:
    at = knots(24)
    assert (int(at[0]), int(at[-1])) == (1, LAST_KNOT)
    assert (at.diff() > 0).all()
    assert at.diff()[0] < at.diff()[-1]


def test_knots_are_known_where_only_sizes_are_read() -> None:
    with torch.device("meta"):
        bias = RankBias(30, 6)
    assert bias.knots.shape == knots(6).shape


def test_between_knots_the_bias_is_a_straight_line_and_beyond_them_it_stays() -> None:
    at = torch.tensor([1, 5, 9])
    shares = hats(torch.tensor([1, 3, 5, 8, 9, 50]), at)
    torch.testing.assert_close(shares.sum(1), torch.ones(6))
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.25, 0.75], [0, 0, 1], [0, 0, 1]]
    torch.testing.assert_close(shares, torch.tensor(expected))


@pytest.fixture
def net() -> NextCellBert:
    torch.manual_seed(0)
    config = BioBertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, rank_knots=6,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    net = NextCellBert(config)
    bias = net.cls.predictions.rank_bias
    bias.start.normal_()
    torch.nn.init.normal_(bias.change)
    return net


def batch_of(ranks: list[int], labels: list[int]):
    scored = ScoredGenes(
        ids=torch.full((len(ranks),), 3).numpy(),
        ranks=torch.tensor(ranks).numpy(),
        labels=torch.tensor(labels).numpy(),
        num_genes=12,
        cell=1,
    )
    context = torch.tensor([2, 7, 8, 9, 4]).numpy()
    return pack([TemporalExample(context_ids=context, next_cells=(scored,), cell=0)])


def test_the_chunked_loss_is_the_cross_entropy_of_the_logits_with_the_same_gradients(net) -> None:
    batch = batch_of([1, 4, 9], [7, 20, 11])
    attend = choose_attention("auto", CPU, torch.float32, 8, 0.0)
    loss = net.summed_loss(batch, attend)
    loss.backward()
    fused = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    plain = F.cross_entropy(net(batch, attend), batch.scored_labels, reduction="sum")
    plain.backward()
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=0)
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(fused[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_it_tells_ranks_apart_even_where_the_network_does_not(net) -> None:
    bias = net.cls.predictions.rank_bias
    torch.testing.assert_close(bias(torch.tensor([1])), bias.logits[:, :1].T)
    assert not torch.allclose(bias(torch.tensor([1])), bias(torch.tensor([200])))


def test_it_costs_no_special_case_at_the_first_and_last_rank() -> None:
    bias = RankBias(5, 4)
    assert bias(torch.tensor([1, LAST_KNOT, 5 * LAST_KNOT])).shape == (3, 5)


def test_one_knot_is_refused() -> None:
    with pytest.raises(ValueError, match="rank_knots must be 0 or at least 2; got 1"):
        BioBertConfig(rank_knots=1)
