"""Products by another library: the same numbers, chosen by the processor, never for small ones."""

import logging

import pytest
import torch
import torch.nn.functional as F

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model import products, vocabulary_loss
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.products import Linear, uses_onednn
from bionemo.geneformer_t.model.step.settings import StepSettings
from bionemo.geneformer_t.model.vocabulary_loss import summed_cross_entropy

ZEN_4 = "vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f avx512_bf16\n\nvendor_id : GenuineIntel"
ZEN_5 = "vendor_id : AuthenticAMD\nflags : fpu avx2 avx_vnni avx512f avx512_bf16\n"
ZEN_3 = "vendor_id : AuthenticAMD\nflags : fpu avx2\n"
XEON = "vendor_id : GenuineIntel\nflags : fpu avx2 avx512f avx_vnni amx_bf16\n\nAuthenticAMD"
needs_onednn = pytest.mark.skipif(
    products.failed_trial() is not None, reason="oneDNN does not serve here"
)


def forget():
    for function in (uses_onednn, products.is_amd_with_avx512, products.weight_gradient_in_onednn):
        function.cache_clear()
    products._cpu_facts.cache_clear()


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A function that makes the system report another processor."""

    def report(facts: str) -> None:
        (tmp_path / "cpuinfo").write_text(facts)
        monkeypatch.setattr(products, "_CPU_FACTS", tmp_path / "cpuinfo")
        forget()

    yield report
    forget()


@pytest.fixture(params=[False, True])
def weight_gradient_too(request, monkeypatch):
    """Products of every size go to oneDNN, with and without the weight's gradient."""
    monkeypatch.setattr(products, "FEWEST_MULTIPLY_ADDS", 0)
    for module in (products, vocabulary_loss):
        monkeypatch.setattr(module, "weight_gradient_in_onednn", lambda: request.param)
    return request.param


@needs_onednn
@pytest.mark.parametrize(
    ("facts", "auto", "weight_gradient"),
    [(ZEN_4, True, False), (ZEN_5, True, True), (ZEN_3, False, False), (XEON, False, True)],
)
def test_auto_follows_the_processor(processor, facts, auto, weight_gradient):
    processor(facts)
    assert uses_onednn("auto") == auto
    assert products.weight_gradient_in_onednn() == weight_gradient
    assert not uses_onednn("default")
    assert uses_onednn("onednn")


@pytest.mark.parametrize(("facts", "lacks"), [(ZEN_3, True), (ZEN_4, False), (XEON, False)])
def test_a_processor_without_bfloat16_is_known(processor, facts, lacks):
    processor(facts)
    assert products.lacks_bfloat16() == lacks


def test_without_a_list_of_processors_the_default_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(products, "_CPU_FACTS", tmp_path / "missing")
    forget()
    assert not uses_onednn("auto")
    assert not products.lacks_bfloat16()
    forget()


@needs_onednn
def test_what_a_run_notes_of_its_products_follows_the_setting(processor):
    processor(ZEN_4)
    assert products.described("default") == "default"
    assert products.described("auto") == "oneDNN but for the weights' gradients"
    processor(ZEN_5)
    assert products.described("auto") == "oneDNN"
    processor(XEON)
    assert products.described("auto") == "default"


def test_what_is_used_is_said_in_one_line(processor, caplog):
    processor(ZEN_4)
    with caplog.at_level(logging.INFO):
        uses_onednn("auto")
        uses_onednn("auto")
    assert len(caplog.records) == 1


def test_a_library_that_fails_its_trial_is_left_out_or_refused(processor, monkeypatch, caplog):
    processor(ZEN_4)
    monkeypatch.setattr(products, "failed_trial", lambda: "a trial gave other numbers")
    with caplog.at_level(logging.INFO):
        assert not uses_onednn("auto")
    assert "left to PyTorch's default library: a trial gave other numbers" in caplog.text
    with pytest.raises(ValueError, match="'onednn' cannot be used here: a trial gave other"):
        uses_onednn("onednn")


def test_a_trial_notices_other_numbers(monkeypatch):
    rounded = torch.ops.mkldnn._linear_pointwise

    class Coarse:
        @staticmethod
        def _linear_pointwise(left, right, *rest):
            return rounded(left.bfloat16().float(), right, *rest)

    monkeypatch.setattr(torch.ops, "mkldnn", Coarse)
    assert products.failed_trial() == "a trial gave other numbers than PyTorch's own product"


def test_an_unknown_library_is_refused():
    with pytest.raises(ValueError, match=r"matmul_backend must be .*onednn.* got 'mkl'"):
        StepSettings(matmul_backend="mkl")


@needs_onednn
@pytest.mark.usefixtures("weight_gradient_too")
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_a_layer_and_its_gradients_are_those_of_torch(rows):
    torch.manual_seed(0)
    layer = Linear(96, 64)
    layer.matmul_backend = "onednn"
    tensor = torch.randn(rows, 96, requires_grad=True)
    pull = torch.randn(rows, 64)
    found = layer(tensor)
    assert found.grad_fn.name() == "_LinearBackward"
    expected = F.linear(tensor.double(), layer.weight.double(), layer.bias.double())
    inputs = (tensor, layer.weight, layer.bias)
    got = [found, *torch.autograd.grad(found, inputs, pull)]
    wanted = [expected, *torch.autograd.grad(expected, inputs, pull.double())]
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other.float(), rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.usefixtures("weight_gradient_too")
@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_only_gradients_that_are_needed_are_computed(needs):
    layer = Linear(8, 4)
    layer.matmul_backend = "onednn"
    tensor = torch.randn(5, 8, requires_grad=needs[0])
    layer.requires_grad_(needs[1])
    layer(tensor).sum().backward()
    assert [tensor.grad is not None, layer.weight.grad is not None] == list(needs)


@needs_onednn
@pytest.mark.usefixtures("weight_gradient_too")
def test_the_vocabulary_loss_is_the_same():
    torch.manual_seed(0)
    inputs = [
        tensor.requires_grad_()
        for tensor in (torch.randn(70, 24), torch.randn(33, 24), torch.randn(33))
    ]
    labels = torch.randint(33, (70,))
    found, expected = (
        summed_cross_entropy(*inputs, labels, rows=32, backend=backend)
        for backend in ("onednn", "default")
    )
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_small_products_stay_with_the_default(monkeypatch):
    def fail(*_):
        raise AssertionError("a small product went to oneDNN")

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", fail)
    left, right = torch.randn(4, 3), torch.randn(2, 3)
    assert torch.equal(products.product(left, right), F.linear(left, right))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_and_autocast_take_torchs_own(dtype):
    layer = Linear(8, 4).to(dtype)
    layer.matmul_backend = "onednn"
    assert layer(torch.randn(5, 8, dtype=dtype)).grad_fn.name() == "AddmmBackward0"
    layer = Linear(8, 4)
    layer.matmul_backend = "onednn"
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(5, 8)).dtype == torch.bfloat16


def test_a_network_passes_its_choice_to_every_layer():
    net = NextCellBert(BioBertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2,
                                     num_attention_heads=2, intermediate_size=12))  # fmt: skip
    net.set_matmul_backend("default")
    layers = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) == 2 * 6 + 2
    assert {layer.matmul_backend for layer in layers} == {"default"}
