"""The time gap changes the queries of its own next cell, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_steps import RAGGED, pairs_of, small_config, step
from textbook import packed

from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.time_gap import NUM_FEATURES, TimeGapEmbedding, TrainedGaps

GAPS = torch.tensor([0.5, 1.0, 3.0, float("nan"), 20.0, 3.0])


@pytest.fixture
def nets() -> tuple[NextCellBert, NextCellBert]:
    """The same weights without and with a map of gaps, which is still zero."""
    torch.manual_seed(0)
    plain = NextCellBert(small_config())
    told = NextCellBert(small_config(time_gaps=True))
    missing, unexpected = told.load_state_dict(plain.state_dict(), strict=False)
    assert set(missing) == {"time_gap.weight", "time_gap.log_range"}
    assert not unexpected
    assert told.time_gap is not None
    told.time_gap.set_range(0.5, 20.0)
    return plain, told


def with_map(net: NextCellBert) -> NextCellBert:
    assert net.time_gap is not None
    torch.nn.init.normal_(net.time_gap.weight, generator=torch.Generator().manual_seed(1))
    return net


def batches():
    batch = packed(pairs_of(RAGGED))
    return batch, replace(batch, time_gaps=GAPS)


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_a_map_of_zero_gives_the_same_step_to_the_bit(nets, backend) -> None:
    plain, told = nets
    without, with_gaps = batches()
    attend = ATTENTION_BACKENDS[backend]
    expected = step(plain, without, attend)
    for batch in (without, with_gaps):
        found = step(told, batch, attend)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0)
    assert step(told, with_gaps, attend)["time_gap.weight"].abs().max() > 0


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_a_gap_changes_its_own_next_cell_alone(nets, backend) -> None:
    net, attend = with_map(nets[1]), ATTENTION_BACKENDS[backend]
    without, with_gaps = batches()
    bounds = without.scored_offsets.tolist()
    before = net(without, attend)
    all_told = net(with_gaps, attend)
    for cell, gap in enumerate(GAPS):
        only = torch.full_like(GAPS, float("nan"))
        only[cell] = gap
        found = net(replace(without, time_gaps=only), attend)
        here = slice(bounds[cell], bounds[cell + 1])
        elsewhere = torch.ones(len(found), dtype=torch.bool)
        elsewhere[here] = False
        torch.testing.assert_close(found[elsewhere], before[elsewhere], rtol=0, atol=0)
        torch.testing.assert_close(found[here], all_told[here], rtol=1e-5, atol=1e-6)
        assert gap.isnan() or (found[here] - before[here]).abs().max() > 1e-3


def test_contexts_do_not_see_the_gap(nets) -> None:
    net, attend = with_map(nets[1]), ATTENTION_BACKENDS["per_cell"]
    without, with_gaps = batches()
    contexts = [
        net.hidden(batch, attend, keep_contexts=True)[: len(batch.context_ids)]
        for batch in (without, with_gaps)
    ]
    torch.testing.assert_close(*contexts, rtol=0, atol=0)


def test_a_network_without_the_map_refuses_gaps(nets) -> None:
    with pytest.raises(ValueError, match="trained without time gaps"):
        nets[0](batches()[1], ATTENTION_BACKENDS["per_cell"])


def test_features_are_a_constant_the_logarithm_and_bumps() -> None:
    net = TimeGapEmbedding(small_config(time_gaps=True))
    net.set_range(1.0, 100.0)
    found = net.features(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert found.shape == (4, NUM_FEATURES)
    torch.testing.assert_close(found[:, 0], torch.ones(4))
    torch.testing.assert_close(found[:, 1], torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    assert found[0, 2:].argmax() == 0
    assert found[2, 2:].argmax() == NUM_FEATURES - 3
    torch.testing.assert_close(found[0, 2], torch.tensor(1.0))
    assert found[3, 2:].max() < 0.01  # far from all that was trained


def test_one_gap_alone_is_in_the_middle_of_its_range() -> None:
    net = TimeGapEmbedding(small_config(time_gaps=True))
    net.set_range(7.0, 7.0)
    found = net.features(torch.tensor([7.0]))
    assert found.isfinite().all()
    torch.testing.assert_close(found[0, 1], torch.tensor(0.0), atol=1e-3, rtol=0)


def test_a_record_of_gaps_knows_their_range_and_comes_back() -> None:
    trained = TrainedGaps.of(np.array([3.0, 1.0, 2.0, 10.0]), key="day", unit="days", days=1.0)
    assert (trained.shortest, trained.longest) == (1.0, 10.0)
    assert str(trained) == "1 to 10 days (median 2)"
    outside = trained.are_outside(np.array([0.5, 1.0, 10.0, 10.1]))
    assert outside.tolist() == [True, False, False, True]
    again = TrainedGaps.from_dict(trained.to_dict())
    np.testing.assert_array_equal(again.quantiles, trained.quantiles)
    assert (again.key, again.unit, again.days) == ("day", "days", 1.0)
