"""Every library of products, in every precision, takes the textbook's step.

Reference is the textbook step in float64. The textbook step in the same precision says how near to
it a step can come, and ours must come as near, whatever library multiplies and however the batch is
dealt. Which of two steps errs more on one network is chance (a ReLU at zero opens in one of them),
so errors are those of several networks together. No test needs a processor with instructions for
bfloat16, which PyTorch emulates where there are none.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache

import pytest
import torch
from small_steps import RAGGED, pairs_of, relative_error, small_config, step, textbook_step
from textbook import Pair, packed, textbook_inputs, textbook_model
from torch import Tensor

from bionemo.geneformer_t.model import products, vocabulary_loss
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.network import NextCellBert

SEEDS = range(8)
"""Networks whose errors are taken together."""
LONGEST = 61
"""Genes of a cell that the positions of the small network have room for, with its special ones."""
EVERY_LENGTH = [(n, n, 1 + n // 7) for n in range(1, LONGEST + 1, 4)]
SHARED = [0, 0, 0, 1, 2, 3]
"""The context of each pair of `RAGGED`, where the first three have one."""
PARTS = ([0, 1, 2], [3], [4, 5])
"""Pairs in each micro-batch; those that share a context stay together."""
BOUNDS = {"every length": 1.3, "shared contexts": 1.5}
"""Of our error, over that of the textbook. What three next cells send back to a context that they
share is summed before it is rounded, where the textbook sums three that were rounded apart."""
WEIGHT_GRADIENT_TOO = {"default": False, "onednn": False, "all in onednn": True}
"""Each library, and whether oneDNN computes the weights' gradients too."""

needs_onednn = pytest.mark.skipif(
    products.failed_trial() is not None, reason="oneDNN does not serve here"
)
engines = pytest.mark.parametrize(
    "engine",
    [pytest.param(n, marks=needs_onednn if "onednn" in n else ()) for n in WEIGHT_GRADIENT_TOO],
    indirect=True,
)
engines_and_precisions = pytest.mark.parametrize(
    ("engine", "precision"),
    [
        ("default", "float32"),
        pytest.param("onednn", "float32", marks=needs_onednn),
        pytest.param("all in onednn", "float32", marks=needs_onednn),
        ("default", "bf16-mixed"),
    ],
    indirect=["engine"],
)


@pytest.fixture
def engine(request, monkeypatch) -> str:
    """A library, which also computes products that are too small for it."""
    products.uses_onednn.cache_clear()
    monkeypatch.setattr(products, "FEWEST_MULTIPLY_ADDS", 0)
    too = WEIGHT_GRADIENT_TOO[request.param]
    for module in (products, vocabulary_loss):
        monkeypatch.setattr(module, "weight_gradient_in_onednn", lambda: too)
    return request.param


def computing(precision: str) -> AbstractContextManager[object]:
    return nullcontext() if precision == "float32" else torch.autocast("cpu", torch.bfloat16)


def network(engine: str, seed: int, **changes) -> NextCellBert:
    torch.manual_seed(seed)
    net = NextCellBert(small_config(**changes))
    net.set_matmul_backend("onednn" if "onednn" in engine else "default")
    return net


def pairs_and_contexts(which: str, seed: int) -> tuple[list[Pair], list[int]]:
    """Pairs of a batch, and the context of each."""
    if which == "every length":
        return pairs_of(EVERY_LENGTH, seed), list(range(len(EVERY_LENGTH)))
    pairs = pairs_of(RAGGED, seed)
    owners = [pairs[SHARED.index(number)] for number in SHARED]
    return [replace(p, context=o.context) for p, o in zip(pairs, owners, strict=True)], SHARED


def whole(net: NextCellBert, pairs: list[Pair], context_of: list[int]) -> dict[str, Tensor]:
    """The step of a whole batch."""
    attend = choose_attention("auto", torch.device("cpu"))
    return step(net, packed(pairs, context_of=context_of), attend)


def accumulated(net: NextCellBert, pairs: list[Pair], context_of: list[int]) -> dict[str, Tensor]:
    """The step of a batch whose micro-batches come one after the other."""
    attend = choose_attention("auto", torch.device("cpu"))
    net.zero_grad()
    scored, total = packed(pairs).num_scored, torch.zeros(())
    for part in PARTS:
        contexts = [context_of[i] - context_of[part[0]] for i in part]
        batch = packed([pairs[i] for i in part], context_of=contexts)
        loss = net.summed_loss(batch, attend) / scored
        loss.backward()
        total += loss.detach()
    return {"loss": total, **{name: p.grad for name, p in net.named_parameters()}}


@cache
def textbooks(which: str, seed: int, precision: str) -> dict[str, Tensor]:
    """Loss and gradients of the textbook step, on separate, padded pairs."""
    net = network("default", seed)
    oracle = textbook_model(net)
    inputs = textbook_inputs(pairs_and_contexts(which, seed)[0], net.config)
    if precision == "float64":
        return textbook_step(oracle.double(), inputs)
    with computing(precision):
        return textbook_step(oracle, inputs)


@pytest.mark.parametrize(
    ("which", "taken"),
    [("every length", whole), ("shared contexts", whole), ("shared contexts", accumulated)],
)
@engines_and_precisions
def test_steps_are_as_near_float64_as_the_textbooks(engine, precision, which, taken) -> None:
    ours_off = theirs_off = 0.0
    for seed in SEEDS:
        with computing(precision):
            found = taken(network(engine, seed), *pairs_and_contexts(which, seed))
        exact, theirs = (textbooks(which, seed, kind) for kind in ("float64", precision))
        assert abs(found["loss"] - exact["loss"]) < 1e-2 * exact["loss"]
        names = [name for name in found if name != "loss"]
        assert all(found[name].dtype == torch.float32 for name in names)  # as the weights are
        ours_off += relative_error(found, exact, names) ** 2
        theirs_off += relative_error(theirs, exact, names) ** 2
    assert 0 < ours_off**0.5 < BOUNDS[which] * theirs_off**0.5
    assert theirs_off**0.5 < (1e-4 if precision == "float32" else 0.5)


@engines_and_precisions
@pytest.mark.parametrize("recompute", ["feed_forward", "layers"])
def test_recomputing_changes_no_bit_of_any_engine_or_precision(
    engine, precision, recompute
) -> None:
    net = network(engine, 0, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    found = []
    for option in ("nothing", recompute):
        net.set_recompute(option)
        torch.manual_seed(1)
        with computing(precision):
            found.append(whole(net, *pairs_and_contexts("shared contexts", 0)))
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


@engines
def test_in_bfloat16_the_library_of_float32_changes_no_bit(engine) -> None:
    batch = pairs_and_contexts("shared contexts", 0)
    with computing("bf16-mixed"):
        found = [whole(network(which, 0), *batch) for which in (engine, "default")]
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


@engines
@pytest.mark.parametrize("precision", ["float32", "bf16-mixed"])
def test_the_library_that_is_asked_for_computes_and_no_other(
    engine, precision, monkeypatch
) -> None:
    """Or the tests above would compare PyTorch's default with itself."""
    by_onednn, rows = torch.ops.mkldnn._linear_pointwise, []

    class Noted:
        @staticmethod
        def _linear_pointwise(left, *rest):
            rows.append(len(left))
            return by_onednn(left, *rest)

    net = network(engine, 0)
    whole(net, *pairs_and_contexts("shared contexts", 0))  # after the trial
    monkeypatch.setattr(torch.ops, "mkldnn", Noted)
    with computing(precision):
        whole(net, *pairs_and_contexts("shared contexts", 0))
    assert bool(rows) == ("onednn" in engine and precision == "float32")
    assert (small_config().intermediate_size in rows) == (  # of the transposed gradient
        engine == "all in onednn" and precision == "float32"
    )
