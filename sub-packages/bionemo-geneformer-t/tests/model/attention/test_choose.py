"""Which backend serves: what was asked for where it can, else the first that suits."""

import logging

import pytest
import torch

from bionemo.geneformer_t.model.attention import choose
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets, Demand
from bionemo.geneformer_t.model.attention.choose import (
    ATTENTION_BACKENDS,
    GPU_BACKENDS,
    LIMITS,
    choose_attention,
    failed_trial,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
QUERIES, KEYS = [0, 3, 4, 20], [0, 5, 7, 40]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")


@pytest.fixture
def an_ampere_gpu(monkeypatch):
    """What PyTorch says of a GPU, without one; a trial cannot run and is taken as passed."""
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(choose, "failed_trial", lambda attend, demand: None)
    choose._first_suitable.cache_clear()
    yield
    choose._first_suitable.cache_clear()


def name_of(attend):
    return next(n for n, f in {**ATTENTION_BACKENDS, **GPU_BACKENDS}.items() if f is attend)


def attend(function, device=CPU, dtype=torch.float32, dropout_prob=0.0, dim=16):
    torch.manual_seed(0)
    tokens = (QUERIES[-1], KEYS[-1], KEYS[-1])
    inputs = [torch.randn(n, 2, dim).to(device, dtype).requires_grad_() for n in tokens]
    queries, keys = (CellOffsets.of(torch.tensor(o, device=device)) for o in (QUERIES, KEYS))
    out = function(*inputs, [queries], keys, dropout_prob)
    return [out, *torch.autograd.grad(out.float().square().sum(), inputs)]


@pytest.mark.parametrize("dropout_prob", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_auto_takes_one_call_per_cell_on_the_cpu(dtype, dropout_prob):
    assert name_of(choose_attention("auto", CPU, dtype, 64, dropout_prob)) == "per_cell"


def test_auto_pads_on_devices_it_knows_nothing_of():
    assert name_of(choose_attention("auto", torch.device("meta"))) == "padded"


@pytest.mark.parametrize("name", ATTENTION_BACKENDS)
def test_a_backend_that_runs_everywhere_is_taken_by_name(name):
    for device in (CPU, CUDA):
        assert choose_attention(name, device, torch.float16, 7, 0.5) is ATTENTION_BACKENDS[name]


@pytest.mark.parametrize(
    ("dtype", "head_dim", "dropout_prob", "expected"),
    [
        (torch.bfloat16, 64, 0.0, "varlen"),
        (torch.float16, 256, 0.0, "varlen"),
        (torch.bfloat16, 64, 0.1, "varlen"),
        (torch.bfloat16, 264, 0.0, "efficient"),
        (torch.bfloat16, 12, 0.0, "efficient"),
        (torch.float32, 64, 0.1, "efficient"),
        (torch.float64, 64, 0.0, "padded"),
    ],
)
@pytest.mark.usefixtures("an_ampere_gpu")
def test_auto_takes_flash_attention_where_it_can_do_what_is_asked(
    dtype, head_dim, dropout_prob, expected
):
    assert name_of(choose_attention("auto", CUDA, dtype, head_dim, dropout_prob)) == expected


@pytest.mark.usefixtures("an_ampere_gpu")
def test_an_older_gpu_does_without_flash_attention(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert name_of(choose_attention("auto", CUDA, torch.bfloat16)) == "efficient"


@pytest.mark.usefixtures("an_ampere_gpu")
def test_auto_pads_where_trials_fail_and_says_why(monkeypatch, caplog):
    monkeypatch.setattr(choose, "failed_trial", lambda attend, demand: "the trial said no")
    with caplog.at_level(logging.INFO):
        assert name_of(choose_attention("auto", CUDA, torch.bfloat16)) == "padded"
    assert "'varlen' is not used on cuda:0: the trial said no" in caplog.text


@pytest.mark.parametrize(
    ("name", "dtype", "dropout_prob", "message"),
    [
        (
            "flash",
            torch.float32,
            0.0,
            "one of auto, per_cell, padded, varlen, efficient; got 'flash'",
        ),
        ("varlen", torch.float32, 0.0, r"not in torch.float32; .*'auto', which takes 'per_cell'"),
        ("varlen", torch.bfloat16, 0.0, "needs an NVIDIA GPU, the tokens are on 'cpu'"),
        ("efficient", torch.float32, 0.0, "needs an NVIDIA GPU, the tokens are on 'cpu'"),
    ],
)
def test_a_backend_that_cannot_is_refused_with_the_reason(name, dtype, dropout_prob, message):
    with pytest.raises(ValueError, match=message):
        choose_attention(name, CPU, dtype, 64, dropout_prob)


def of_keys_too(change):
    """A backend that is wrong but differentiable in all it is given."""
    return lambda query, key, value, *_: change(query) + 0 * (key.sum() + value.sum())


def a_demand(dropout_prob=0.0):
    return Demand(device=CPU, dtype=torch.float32, head_dim=16, dropout_prob=dropout_prob)


@pytest.mark.parametrize("dropout_prob", [0.0, 0.1])
def test_a_trial_passes_what_agrees_and_names_what_does_not(dropout_prob):
    demand = a_demand(dropout_prob)
    assert failed_trial(ATTENTION_BACKENDS["per_cell"], demand) is None
    assert "other numbers" in failed_trial(of_keys_too(lambda query: query / 0), demand)


def test_a_trial_can_be_made_where_nothing_has_gradients():
    with torch.inference_mode():
        assert failed_trial(ATTENTION_BACKENDS["per_cell"], a_demand()) is None


def test_a_trial_leaves_the_draws_of_a_run_as_they_were():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert failed_trial(ATTENTION_BACKENDS["per_cell"], a_demand(0.1)) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trial_names_what_a_backend_raised():
    assert "in a trial: " in failed_trial(GPU_BACKENDS["varlen"], a_demand())  # there is no GPU


def test_a_trial_finds_numbers_that_differ():
    assert "other numbers" in failed_trial(of_keys_too(lambda query: query), a_demand())


@pytest.mark.parametrize("name", ATTENTION_BACKENDS)
def test_two_askers_find_what_each_would_find_alone(name):
    torch.manual_seed(0)
    first, second, keys = (
        CellOffsets.of(torch.tensor(o)) for o in ([0, 3, 3, 9], [0, 0, 4, 5], KEYS)
    )
    query, key, value = (torch.randn(n, 2, 16) for n in (9 + 5, KEYS[-1], KEYS[-1]))
    function = ATTENTION_BACKENDS[name]
    alone = [
        function(asked, key, value, [groups], keys, 0.0)
        for asked, groups in ((query[:9], first), (query[9:], second))
    ]
    torch.testing.assert_close(
        function(query, key, value, [first, second], keys, 0.0), torch.cat(alone)
    )


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*ATTENTION_BACKENDS, *GPU_BACKENDS])
def test_on_a_gpu_every_backend_equals_the_cpu(name, dtype):
    reason = LIMITS.get(name, lambda demand: None)(
        Demand(device=CUDA, dtype=dtype, head_dim=16, dropout_prob=0.0)
    )
    if reason:
        pytest.skip(reason)
    function = {**ATTENTION_BACKENDS, **GPU_BACKENDS}[name]
    expected = attend(ATTENTION_BACKENDS["per_cell"])
    for found, value in zip(attend(function, CUDA, dtype), expected, strict=True):
        # bfloat16 keeps eight bits of the inputs and of each result
        limit = 1e-4 if dtype == torch.float32 else 0.05
        assert (found.float().cpu() - value).norm() <= limit * value.norm()
