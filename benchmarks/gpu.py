"""How fast is the training step on an NVIDIA GPU, beside the textbook one (SDPA, FlexAttention)?

bfloat16 autocast over float32 weights, forward and backward, no dropout. Every attention backend
that can work here is timed, so that the order in `PREFERRED` can be settled by measurement, and so
are layers compiled with `torch.compile`. Without a GPU it says so and ends; `--device cpu --tiny`
runs the same code on small sizes, to test it.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from measure import report, resident_mb, verdict
from operations import needed
from textbook import Pair, block_masked, packed, textbook_inputs, textbook_loss, textbook_model
from train_step import MODELS, NO_DROPOUT, SEQ_LENGTH, make_pairs

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.attention.choose import (
    ATTENTION_BACKENDS,
    GPU_BACKENDS,
    choose_attention,
)
from bionemo.geneformer_t.model.network import NextCellBert

GPU_MODELS = {
    "10M": MODELS["BioNeMo 10M"],
    "106M": BioBertConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        **NO_DROPOUT,
    ),
}
TINY = BioBertConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    **NO_DROPOUT,
)
FRACTION_TARGET, SPEEDUP_TARGET = 0.4, 3  # of the 106M model, the latter at typical lengths
ORACLES = ("sdpa", "flex_attention")


def matmul_peak_tflops(device: torch.device, size: int, rounds: int = 20) -> float:
    """The best rate of a large bfloat16 matrix product on this device now, in TFLOP/s."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in "ab")
    seconds = best_seconds(lambda: left @ right, device, rounds)
    return 2 * size**3 / seconds / 1e12


def best_seconds(step: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The fastest of several calls, each waited for, after two to warm up."""
    found = []
    for number in range(rounds + 2):
        wait(device)
        started = time.perf_counter()
        step()
        wait(device)
        if number >= 2:
            found.append(time.perf_counter() - started)
    return min(found)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_mb(step: Callable[[], object], device: torch.device) -> float:
    """Megabytes that PyTorch holds on a GPU at most during a step; elsewhere, resident ones."""
    if device.type != "cuda":
        step()
        return resident_mb()
    torch.cuda.reset_peak_memory_stats(device)
    step()
    wait(device)
    return torch.cuda.max_memory_allocated(device) / 2**20


def step_of(module: torch.nn.Module, loss_of: Callable[[], torch.Tensor]) -> torch.Tensor:
    """One forward and backward pass under bfloat16 autocast."""
    module.zero_grad()
    device = next(module.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        loss = loss_of()
    loss.backward()
    return loss.detach()


def our_step(
    net: NextCellBert,
    batch: TemporalBatch,
    backend: str,
    device: torch.device,
    *,
    compiled: bool = False,
) -> Callable[[], torch.Tensor]:
    """Our step with a backend, its layers compiled where asked.

    Raises:
        ValueError: The backend cannot be used here.
    """
    head_dim = net.config.hidden_size // net.config.num_attention_heads
    attend = choose_attention(backend, device, torch.bfloat16, head_dim)
    if compiled:
        net = deepcopy(net)
        net.compile_layers()
    return partial(step_of, net, lambda: net.summed_loss(batch, attend) / batch.num_scored)


def textbook_step(
    net: NextCellBert, pairs: Sequence[Pair], attention: str, length: int, device: torch.device
) -> Callable[[], torch.Tensor]:
    """The textbook step, padded to a length, with one of Hugging Face's attentions."""
    oracle = textbook_model(net, attention).to(device)
    inputs = {
        name: value.to(device) for name, value in textbook_inputs(pairs, net.config, length).items()
    }
    inputs = block_masked(inputs) if attention == "flex_attention" else inputs
    return partial(step_of, oracle, lambda: textbook_loss(oracle, inputs))


def measured(
    step: Callable[[], torch.Tensor], pairs: int, tokens: int, device: torch.device, rounds: int
) -> dict[str, float]:
    """What one step costs."""
    seconds = best_seconds(step, device, rounds)
    return {
        "pairs_per_s": pairs / seconds,
        "tokens_per_s": tokens / seconds,
        "peak_mb": peak_memory_mb(step, device),
    }


def compare(
    name: str,
    config: BioBertConfig,
    kind: str,
    sizes: argparse.Namespace,
    device: torch.device,
    peak: float,
) -> list[dict[str, Any]]:
    """The rows of one model and kind of lengths: our backends, then the oracles."""
    torch.manual_seed(0)
    net = NextCellBert(config).to(device)
    pairs = [shortened(pair, sizes.longest) for pair in make_pairs(kind, sizes.pairs)]
    batch = packed(pairs)
    work, tokens = needed(config, batch), len(batch.context_ids) + batch.num_scored
    moved = batch.to(device)
    candidates: dict[str, Callable[[], Callable[[], torch.Tensor]]] = {
        f"ours, {backend}": partial(our_step, net, moved, backend, device)
        for backend in ["auto", *ATTENTION_BACKENDS, *GPU_BACKENDS]
    }
    if device.type == "cuda":
        candidates["ours, compiled"] = partial(our_step, net, moved, "auto", device, compiled=True)
    few = pairs[: sizes.oracle_pairs]
    candidates |= {
        f"oracle, {attention}": partial(textbook_step, net, few, attention, sizes.length, device)
        for attention in ORACLES
        if attention != "flex_attention" or device.type == "cuda"  # it has no backward on a CPU
    }
    rows = []
    for what, make in candidates.items():
        number = len(pairs) if what.startswith("ours") else len(few)
        row: dict[str, Any] = {"model": name, "lengths": kind, "step": what, "pairs": number}
        try:
            cost = measured(make(), number, tokens * number // len(pairs), device, sizes.rounds)
        except (RuntimeError, ValueError, TypeError, ImportError) as error:
            rows.append({**row, "failed": str(error).splitlines()[0]})
        else:
            flops = work / len(pairs) * cost["pairs_per_s"]
            rows.append({**row, **cost, "fraction_of_peak": flops / peak / 1e12})
        print(rows[-1], file=sys.stderr, flush=True)
        net.zero_grad()
        gc.collect()
    return rows


def shortened(pair: Pair, longest: int) -> Pair:
    """The pair with both cells cut, for tiny runs."""
    kept = pair.ranks <= longest
    return replace(
        pair,
        context=pair.context[[*range(min(longest, len(pair.context) - 2) + 1), -1]],
        shown=pair.shown[:longest],
        ranks=pair.ranks[kept],
        labels=pair.labels[kept],
    )


def with_targets(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """Rows of the printed table: our step's fraction and speed-up beside their targets."""
    oracles = {
        (row["model"], row["lengths"]): row["pairs_per_s"]
        for row in rows
        if row["step"] == "oracle, sdpa" and "failed" not in row
    }
    shown: list[dict[str, object]] = []
    for row in rows:
        if "failed" in row:
            reason = row["failed"]
            shown.append({**_head(row), **dict.fromkeys(_COLUMNS, "-"), "note": reason})
            continue
        is_target = row["model"] == "106M" and row["step"] in {"ours, auto", "ours, compiled"}
        base = oracles.get((row["model"], row["lengths"]))
        speedup = row["pairs_per_s"] / base if base else float("nan")
        typical = SPEEDUP_TARGET if is_target and row["lengths"] == "typical" else None
        figures = [
            row["pairs_per_s"],
            row["tokens_per_s"],
            row["peak_mb"],
            row["fraction_of_peak"],
            verdict(row["fraction_of_peak"], FRACTION_TARGET if is_target else None),
            speedup,
            verdict(speedup, typical),
        ]
        shown.append({**_head(row), **dict(zip(_COLUMNS, figures, strict=True)), "note": ""})
    return shown


_COLUMNS = ("pairs/s", "tokens/s", "peak_mb", "of_peak", "target", "vs_oracle", "target ")


def _head(row: dict[str, Any]) -> dict[str, object]:
    return {name: row[name] for name in ("model", "lengths", "step", "pairs")}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a toy model, to test this script")
    parser.add_argument("--pairs", type=int, default=32, help="pairs in a batch of ours")
    parser.add_argument("--oracle_pairs", type=int, default=16, help="pairs in the oracle's batch")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="+", choices=list(GPU_MODELS), default=list(GPU_MODELS))
    sizes = parser.parse_args(argv)
    device = torch.device(sizes.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("gpu.py measures nothing here: PyTorch finds no NVIDIA GPU "
              f"(torch {torch.__version__}, CUDA {torch.version.cuda})")  # fmt: skip
        return
    models = {name: GPU_MODELS[name] for name in sizes.models}
    sizes.length, sizes.longest = SEQ_LENGTH, SEQ_LENGTH
    if sizes.tiny:
        models, sizes.length, sizes.longest = {"tiny": TINY}, 64, 30
        sizes.pairs, sizes.oracle_pairs, sizes.rounds = 4, 2, 1
    peak = matmul_peak_tflops(device, 256 if sizes.tiny else 8192)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{card}: {peak:.3g} TFLOP/s in a bfloat16 matrix product")
    rows = [
        row
        for name, config in models.items()
        for kind in ("full", "typical")
        for row in compare(name, config, kind, sizes, device, peak)
    ]
    figures = {"card": card, "matmul_peak_tflops": peak}
    report("gpu", rows, with_targets(rows), write=not sizes.tiny, **figures)


if __name__ == "__main__":
    main()
