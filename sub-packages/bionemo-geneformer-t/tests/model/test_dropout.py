"""Dropout from few draws: the right rate, independent, the same mask backward, in place."""

import pytest
import torch

from bionemo.geneformer_t.model import dropout as module
from bionemo.geneformer_t.model.dropout import Dropout
from bionemo.geneformer_t.model.dropout_masks import _ROW, Buffers, Masks, drop_, random_words

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("lag", [1, 16, 48, _ROW - 48, _ROW - 16, _ROW])
def test_numbers_are_dropped_independently_of_each_other(lag):
    """Also those whose words share a draw, which are the lags that are not 1 or a row."""
    generator = torch.Generator().manual_seed(0)
    words = random_words(1 << 18, Buffers(), generator)
    assert len(words.unique()) == len(words)
    lanes = words.view(torch.int16).view(-1, 4).double() / (1 << 16) + 0.5
    is_dropped = lanes > 0.9
    both = (is_dropped[lag:] & is_dropped[:-lag]).double().mean()
    # a million pairs at a rate of 0.01: the standard error is 0.0001 if they are independent
    assert float(both) == pytest.approx(0.01, abs=0.0005)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_precision_drops_the_same_numbers_and_keeps_the_others_as_they_are(dtype):
    dropped = []
    for precision in (dtype, torch.float64):
        masks, numbers = Masks(0.3, 5, Buffers()), torch.arange(1.0, 129.0).to(precision)
        for _ in range(2):  # the second mask is another one
            kept = drop_(numbers.clone(), masks.draw(numbers))
            dropped.append(kept)
            assert torch.equal(kept, torch.where(kept == 0, 0, numbers))
    first, second, *expected = dropped
    assert not torch.equal(first, second)
    assert [first.double().tolist(), second.double().tolist()] == [e.tolist() for e in expected]


def test_nothing_is_dropped_at_a_rate_of_zero():
    assert Masks(0.0, 5, Buffers()).draw(torch.ones(3)) is None
    assert drop_(torch.ones(3), None).tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_drops_at_its_rate_and_scales_what_stays(dtype):
    torch.manual_seed(0)
    found = Dropout(0.1)(torch.ones(1000, 700, dtype=dtype))
    assert found.dtype == dtype
    kept = found != 0
    # 700,000 draws: the standard error is 0.0004
    assert float(kept.double().mean()) == pytest.approx(0.9, abs=0.0015)
    assert found[kept].unique().tolist() == [float(torch.tensor(1.0, dtype=dtype) / 0.9)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rate_that_rounds_to_one_drops_everything(dtype):
    numbers = torch.ones(100, dtype=dtype)
    assert not drop_(numbers, Masks(1 - 1e-6, 0, Buffers()).draw(numbers)).any()


def test_the_gradient_has_the_mask_of_the_forward_pass():
    numbers = torch.randn(50, 40, dtype=torch.float64, requires_grad=True)
    dropped = Dropout(0.4)(numbers * 1)
    pull = torch.randn_like(numbers)
    found = torch.autograd.grad(dropped, numbers, pull)[0]
    torch.testing.assert_close(found, pull * (dropped != 0) / 0.6)


def test_it_works_in_place_block_by_block(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 64)
    given = torch.ones(20, 10)
    found = Dropout(0.5)(given)
    assert found.data_ptr() == given.data_ptr()
    blocks = given.flatten().split(64)
    assert not torch.equal(blocks[0], blocks[1])


def test_the_global_generator_decides():
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(Dropout(0.5)(torch.ones(100)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(("training", "dropout_prob"), [(False, 0.5), (True, 0.0)])
def test_it_changes_nothing_outside_training_or_at_a_rate_of_zero(training, dropout_prob):
    given = torch.ones(100)
    assert Dropout(dropout_prob).train(training)(given) is given
    assert given.tolist() == [1] * 100


def test_numbers_in_another_order_in_memory_are_dropped_too():
    torch.manual_seed(0)
    given = torch.ones(30, 20).T
    found = Dropout(0.5)(given)
    assert set(found.unique().tolist()) == {0, 2}
    assert found.shape == (20, 30)
