"""Matrix products of linear layers on a CPU, by the library that is fastest there.

PyTorch gives float32 products on a CPU to MKL. On AMD's processors MKL takes narrower instructions
than the processor has; oneDNN, which is in the same wheel, takes the widest. On Zen 5 it is twice
as fast, on Zen 4 up to 1.15 times, at the same accuracy (`benchmarks/products.py`). Products in 16
bits go to oneDNN in any case.

The library is chosen by what the processor reports, not by a timed trial, whose outcome would vary
from run to run on a busy machine, and with it the last bits of results. A short trial checks its
numbers beside PyTorch's own.
"""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bionemo.geneformer_t.config import MatmulBackend
from bionemo.geneformer_t.model.precision import compute_dtype

logger = logging.getLogger(__name__)

FEWEST_MULTIPLY_ADDS = 1 << 26
"""Smaller products stay with the default: a call of oneDNN takes 15 microseconds more."""
_CPU_FACTS = Path("/proc/cpuinfo")
_TOLERANCE = 1e-5


class Linear(nn.Linear):
    """`nn.Linear`, whose three products may go to another library."""

    matmul_backend: MatmulBackend = "auto"

    def forward(self, tensor: Float[Tensor, "row input"]) -> Float[Tensor, "row output"]:
        """The product with the weight, plus the bias."""
        if torch.compiler.is_compiling() or not in_onednn(tensor, self.matmul_backend):
            return F.linear(tensor, self.weight, self.bias)
        product: Tensor = _Linear.apply(  # type: ignore[no-untyped-call] # torch's
            tensor, self.weight, self.bias, weight_gradient_in_onednn()
        )
        return product


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tensor: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        weight_gradient_too: bool,  # noqa: FBT001 # autograd passes by position
    ) -> Tensor:
        """`tensor @ weight.T + bias`."""
        ctx.save_for_backward(tensor, weight)
        ctx.weight_gradient_too = weight_gradient_too
        return product(tensor, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of all three that need one."""
        tensor, weight = ctx.saved_tensors
        of_tensor, of_weight, of_bias, _ = ctx.needs_input_grad
        gradient = gradients[0]
        by_weight = product if ctx.weight_gradient_too else F.linear
        return (
            product(gradient, weight.T) if of_tensor else None,
            by_weight(gradient.T, tensor.T) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
        )


def in_onednn(tensor: Tensor, backend: MatmulBackend) -> bool:
    """Whether products with a tensor are in float32 on a CPU, and go to oneDNN there."""
    is_float32 = tensor.device.type == "cpu" and compute_dtype(tensor) == torch.float32
    return is_float32 and uses_onednn(backend)


def described(backend: MatmulBackend) -> str:
    """Which products in float32 oneDNN computes on this CPU."""
    if not uses_onednn(backend):
        return "default"
    return "oneDNN" if weight_gradient_in_onednn() else "oneDNN but for the weights' gradients"


def product(
    left: Float[Tensor, "row inner"],
    right: Float[Tensor, "column inner"],
    bias: Float[Tensor, " column"] | None = None,
) -> Float[Tensor, "row column"]:
    """`left @ right.T + bias` in float32, by oneDNN where it is large enough."""
    if len(left) * right.numel() < FEWEST_MULTIPLY_ADDS:
        return F.linear(left, right, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return found


@cache
def uses_onednn(backend: MatmulBackend) -> bool:
    """Whether products in float32 go to oneDNN; says so once.

    Raises:
        ValueError: `onednn` was asked for, and does not serve here.
    """
    if backend == "default" or (backend == "auto" and not is_amd_with_avx512()):
        return False
    reason = failed_trial()
    if reason is None:
        logger.info("matrix products in float32 are computed by oneDNN")
        return True
    if backend == "onednn":
        raise ValueError(f"matmul_backend 'onednn' cannot be used here: {reason}; choose 'auto'")
    logger.info("matrix products are left to PyTorch's default library: %s", reason)
    return False


def failed_trial() -> str | None:
    """Why oneDNN does not serve, from small products beside PyTorch's own; None where it does."""
    if not torch.backends.mkldnn.is_available():
        return "this PyTorch was built without oneDNN"
    generator = torch.Generator().manual_seed(0)
    left, right, bias = (
        torch.randn(shape, generator=generator) for shape in ((40, 24), (32, 24), (32,))
    )
    try:
        found = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
        transposed = torch.ops.mkldnn._linear_pointwise(left.T, found.T, None, "none", [], "")
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        return f"{type(error).__name__} in a trial: {error}"
    expected = (left.double() @ right.double().T + bias.double()).float()
    for got, wanted in ((found, expected), (transposed, left.T @ expected)):
        if not bool((got - wanted).norm() <= _TOLERANCE * wanted.norm()):
            return "a trial gave other numbers than PyTorch's own product"
    return None


@cache
def is_amd_with_avx512() -> bool:
    """Whether the processor is one whose widest instructions MKL does not use."""
    return "AuthenticAMD" in _cpu_facts() and "avx512f" in _cpu_facts()


@cache
def weight_gradient_in_onednn() -> bool:
    """Whether oneDNN is faster for the weight's gradient too, whose factors are both transposed.

    It is on Zen 5, which reports `avx_vnni`; on Zen 4 it takes up to a tenth longer.
    """
    return "avx_vnni" in _cpu_facts()


def advise_on_bfloat16(precision: str, device: torch.device) -> None:
    """Warn where a CPU is asked to compute in bfloat16 and would have to emulate it."""
    if "bf16" in precision and device.type == "cpu" and lacks_bfloat16():
        logger.warning(
            "precision %s is slower here, not faster: this processor has no instructions for "
            "bfloat16 (avx512_bf16 or amx_bf16); take 32-true",
            precision,
        )


def lacks_bfloat16() -> bool:
    """Whether the processor has no instructions for products in bfloat16, and lists those it has.

    Products in bfloat16 are then slower than in float32.
    """
    return bool(_cpu_facts()) and not _cpu_facts() & {"avx512_bf16", "amx_bf16", "bf16"}


@cache
def _cpu_facts() -> frozenset[str]:
    """Vendor and instruction sets of the first processor; nothing where the system has no list."""
    if not _CPU_FACTS.is_file():
        return frozenset()
    first, _, _ = _CPU_FACTS.read_text().partition("\n\n")
    return frozenset(first.split())
