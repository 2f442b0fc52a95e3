"""The chunked loss equals `F.cross_entropy`, gradients included, and never holds all logits."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bionemo.geneformer_t.model.vocabulary_loss import (
    CHUNK_BYTES,
    FEWEST_ROWS,
    rows_per_chunk,
    summed_cross_entropy,
)

SCORED, HIDDEN, VOCAB = 23, 6, 50


def parts(dtype=torch.float32, scored=SCORED):
    torch.manual_seed(0)
    hidden, weight, bias = (
        torch.randn(shape, dtype=dtype) for shape in [(scored, HIDDEN), (VOCAB, HIDDEN), (VOCAB,)]
    )
    return [3 * hidden, weight, bias], torch.randint(VOCAB, (scored,))


def plain(hidden, weight, bias, labels):
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), labels, reduction="sum")


def loss_and_gradients(function, tensors, labels, scale=1.0, **more):
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    loss = function(*tensors, labels, **more)
    (loss * scale).backward()
    return [loss.detach(), *(tensor.grad for tensor in tensors)]


@pytest.mark.parametrize("scored", [0, 1, SCORED])
@pytest.mark.parametrize("rows", [1, 5, SCORED, 100, None])
def test_loss_and_gradients_are_those_of_cross_entropy(rows, scored):
    tensors, labels = parts(scored=scored)
    found = loss_and_gradients(summed_cross_entropy, tensors, labels, 0.3, rows=rows)
    expected = loss_and_gradients(plain, tensors, labels, 0.3)
    torch.testing.assert_close(found, expected)


def test_float64_stays_float64():
    tensors, labels = parts(torch.float64)
    found = loss_and_gradients(summed_cross_entropy, tensors, labels, rows=4)
    inputs = [tensor.requires_grad_() for tensor in tensors]
    expected = F.cross_entropy(F.linear(*inputs), labels, reduction="sum")
    gradients = torch.autograd.grad(expected, inputs)
    torch.testing.assert_close(found, [expected.detach(), *gradients], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("trained", range(3))
def test_only_what_trains_gets_a_gradient(trained):
    tensors, labels = parts()
    expected = loss_and_gradients(plain, tensors, labels)[1 + trained]
    tensors[trained].requires_grad_()
    summed_cross_entropy(*tensors, labels, rows=4).backward()
    torch.testing.assert_close(tensors[trained].grad, expected)
    assert all(tensor.grad is None for n, tensor in enumerate(tensors) if n != trained)


def test_labels_far_below_all_others_keep_a_finite_loss():
    tensors, labels = parts()
    tensors[2][labels[0]] = -1e4
    found = summed_cross_entropy(*tensors, labels, rows=4)
    torch.testing.assert_close(found, plain(*tensors, labels))


def test_under_autocast_products_are_in_bfloat16_and_sums_in_float32():
    tensors, labels = parts()
    exact = loss_and_gradients(summed_cross_entropy, tensors, labels, rows=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss_and_gradients(summed_cross_entropy, tensors, labels, rows=4)
    for found, expected in zip(rounded, exact, strict=True):
        assert found.dtype == torch.float32
        # inputs keep eight bits of their mantissa: a relative error of 1/256 each
        assert (found - expected).norm() < 0.02 * expected.norm()
        assert not torch.equal(found, expected)


@pytest.mark.parametrize("vocab", [48, 50])  # a multiple of eight, and none
def test_weights_in_bfloat16_get_gradients_of_their_own_shape(vocab):
    tensors, labels = parts()
    tensors[1:] = [tensor[:vocab] for tensor in tensors[1:]]
    exact = loss_and_gradients(plain, tensors, labels % vocab)
    halves = [tensor.bfloat16() for tensor in tensors]
    rounded = loss_and_gradients(summed_cross_entropy, halves, labels % vocab, rows=4)
    for found, expected in zip(rounded, exact, strict=True):
        # beside the rounding of inputs there is that of a sum over six chunks
        assert (found.float() - expected).norm() < 0.03 * expected.norm()
    assert [g.shape for g in rounded[1:]] == [tensor.shape for tensor in tensors]


def test_float16_keeps_the_order_that_loss_scaling_needs():
    tensors, labels = parts()
    with torch.autocast("cpu", dtype=torch.float16):
        assert torch.equal(summed_cross_entropy(*tensors, labels), plain(*tensors, labels))


class Largest(TorchDispatchMode):
    """Remembers the largest number of elements that any operation returned, views apart."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not func.is_view:
            self.elements = max(self.elements, out.numel())
        return out


def test_all_logits_never_exist_at_once():
    tensors, labels = parts()
    with Largest() as largest:
        loss_and_gradients(summed_cross_entropy, tensors, labels, rows=7)
    assert largest.elements == 7 * VOCAB  # larger than weights and hidden states here


def test_without_gradients_none_is_computed():
    tensors, labels = parts()
    tensors = [tensor.requires_grad_() for tensor in tensors]
    with torch.no_grad(), Largest() as largest:
        summed_cross_entropy(*tensors, labels, rows=4)
    assert largest.elements == 4 * VOCAB < tensors[1].numel()


def test_a_second_backward_pass_is_refused():
    tensors, labels = parts()
    loss = summed_cross_entropy(tensors[0].requires_grad_(), *tensors[1:], labels)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


@pytest.mark.parametrize("scored", [1, 63, 64, 330, 331, 1000, 100_000])
@pytest.mark.parametrize("device", CHUNK_BYTES)
def test_chunks_fit_and_are_of_about_equal_size(scored, device):
    rows = rows_per_chunk(scored, 25_426, device)
    limit = max(FEWEST_ROWS, CHUNK_BYTES[device] // (4 * 25_426))
    assert 1 <= rows <= limit
    chunks = -(-scored // rows)
    assert chunks == -(-scored // limit)
    assert scored - (chunks - 1) * rows > 0
