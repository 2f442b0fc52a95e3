"""How every benchmark measures and reports: paired, in one run, with one JSON line last."""

import gc
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from bionemo.geneformer_t.model.products import failed_trial, lacks_bfloat16, product

RESULTS = Path(__file__).parent / "results"
CPU_FACTS = Path("/proc/cpuinfo")
WIDE = ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_bf16")
"""Instructions that tell how fast matrix products are; `avx_vnni` beside `avx512f`: Zen 5."""


def paired_seconds(
    functions: Sequence[Callable[[], object]],
    rounds: int,
    *,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each function in each round; within a round they run one after the other.

    A slow moment of the machine then hits all of them, and the ratio of a round stays fair. On a
    machine that others use too, `time.process_time` on one thread counts our own time alone.
    """
    for function in functions if warm_up else ():
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, seconds in zip(functions, times, strict=True):
            gc.collect()
            started = clock()
            function()
            seconds.append(clock() - started)
    return times


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over rounds of how many times faster the second is."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def verdict(value: float, target: float | None, *, at_least: bool = True) -> str:
    """The target and whether a figure meets it, for a table: `>=10 pass`."""
    if target is None:
        return "-"
    is_met = value >= target if at_least else value <= target
    return f"{'>=' if at_least else '<='}{target:.3g} {'pass' if is_met else 'MISS'}"


def use_all_cores() -> None:
    """Let PyTorch compute on every core, whatever the environment says."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def best_rates(
    size: int = 2048, rounds: int = 5, clock: Callable[[], float] = time.perf_counter
) -> dict[str, dict[str, float]]:
    """GFLOP/s of one large product now, by precision and library: the best of a few rounds.

    All libraries take as many threads as PyTorch does.
    """
    left, right = torch.randn(size, size), torch.randn(size, size)
    short = left.bfloat16(), right.bfloat16()
    arrays = left.numpy(), right.numpy()
    functions: dict[tuple[str, str], Callable[[], object]] = {
        ("float32", "PyTorch's default"): lambda: left @ right,
        ("float32", "NumPy's BLAS"): lambda: arrays[0] @ arrays[1],
    }
    if failed_trial() is None:
        functions["float32", "oneDNN"] = lambda: product(left, right)
    if not lacks_bfloat16():
        functions["bfloat16", "PyTorch's default"] = lambda: short[0] @ short[1]
    rates: dict[str, dict[str, float]] = {}
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        times = paired_seconds(list(functions.values()), rounds, clock=clock)
    for (precision, library), seconds in zip(functions, times, strict=True):
        rates.setdefault(precision, {})[library] = 2 * size**3 / min(seconds) / 1e9
    return rates


def best_float32(clock: Callable[[], float] = time.perf_counter) -> tuple[float, str]:
    """The processor's best float32 rate over all libraries, and whose it is."""
    rates = best_rates(rounds=3, clock=clock)["float32"]
    library = max(rates, key=lambda name: rates[name])
    return rates[library], library


def resident_mb() -> float:
    """Resident memory of this process now, in megabytes."""
    return _status("VmRSS")


def peak_mb(function: Callable[[], object]) -> float:
    """Megabytes by which a call raises resident memory at its highest; Linux only."""
    gc.collect()
    before = resident_mb()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    function()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(kilobytes) / 1024


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys as aligned text."""
    texts = [[_text(value) for value in row.values()] for row in rows]
    header = list(rows[0])
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in [header, *texts]
    ]
    return "\n".join(lines)


def report(
    name: str,
    rows: Sequence[dict[str, Any]],
    table_rows: Sequence[dict[str, Any]] | None = None,
    *,
    write: bool = True,
    **more: Any,
) -> None:
    """Print the table, write a dated result, and print it as one JSON line.

    `table_rows` stand in the printed table in place of the rows, where figures have targets.
    """
    print(table(rows if table_rows is None else table_rows))
    result = {"benchmark": name, **provenance(), **more, "rows": list(rows)}
    if write:
        RESULTS.mkdir(exist_ok=True)
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        (RESULTS / f"{day}-{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def provenance() -> dict[str, Any]:
    """Hardware, versions and commit."""
    return {
        "commit": commit_of(Path(__file__).parent),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def commit_of(checkout: Path) -> str:
    """The short name of the commit that is checked out, `+changes` where files differ from it.

    Empty where the folder is in no repository.
    """
    commit, changed = (
        subprocess.run(
            ["git", "-C", str(checkout), *asked], capture_output=True, text=True, check=False
        ).stdout.strip()
        for asked in (
            ("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"),
        )
    )  # fmt: skip
    return commit + ("+changes" if changed else "")


def cpu_name() -> str:
    """The processor: how many cores, its name, and which wide instructions it has."""
    if not CPU_FACTS.is_file():
        return platform.processor() or platform.machine()
    processors = [
        dict(line.split(":", 1) for line in text.replace("\t", "").splitlines() if ":" in line)
        for text in CPU_FACTS.read_text().strip().split("\n\n")
    ]
    first = processors[0]
    name = first.get("model name", platform.machine()).strip()
    wide = [part for part in WIDE if part in first.get("flags", "").split()]
    return f"{len(processors)} x {name} ({', '.join(wide) or 'no wide instructions'})"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
