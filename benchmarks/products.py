"""What can this processor multiply, and do linear layers get it?

Prints the rate of every library that multiplies matrices here (MKL or what else PyTorch takes by
default, oneDNN, NumPy's BLAS) in float32 and bfloat16, and the best of each precision: fractions in
`train_step.py` are against it. Then, for the sizes of our layers, how many times as fast the three
products of a linear layer are in oneDNN as by default, and whether `matmul_backend=auto` takes the
faster one. CPU seconds on one core.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measure import best_rates, cpu_name, paired_seconds, report, verdict

from bionemo.geneformer_t.model.products import (
    FEWEST_MULTIPLY_ADDS,
    lacks_bfloat16,
    uses_onednn,
    weight_gradient_in_onednn,
)

SIZES = [(256, 256), (256, 512), (512, 256), (512, 512), (512, 2048), (2048, 512)]
"""Inputs and outputs of linear layers: those of the BioNeMo 10M and of the default model."""
ROWS = 128, 512, 2400
NEVER_SLOWER = 0.95
"""Within a tenth of a product that takes a millisecond, two timings differ by themselves."""


def one_layer(rows: int, inputs: int, outputs: int, rounds: int) -> dict[str, object]:
    """The three products of a layer by both libraries."""
    tensor, gradient = torch.randn(rows, inputs), torch.randn(rows, outputs)
    weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
    onednn = torch.ops.mkldnn._linear_pointwise
    products: dict[str, tuple[Callable[[], object], Callable[[], object], bool]] = {
        "forward": (
            lambda: F.linear(tensor, weight, bias),
            lambda: onednn(tensor, weight, bias, "none", [], ""),
            True,
        ),
        "input's gradient": (
            lambda: gradient @ weight,
            lambda: onednn(gradient, weight.T, None, "none", [], ""),
            True,
        ),
        "weight's gradient": (
            lambda: gradient.T @ tensor,
            lambda: onednn(gradient.T, tensor.T, None, "none", [], ""),
            weight_gradient_in_onednn(),
        ),
    }
    row: dict[str, object] = {"rows": rows, "inputs": inputs, "outputs": outputs}
    is_large = rows * inputs * outputs >= FEWEST_MULTIPLY_ADDS
    repeats = max(1, round(2e8 / (rows * inputs * outputs)))
    chosen = []
    for name, (default, other, is_auto) in products.items():
        functions = [lambda f=f: [f() for _ in range(repeats)] for f in (default, other)]
        by_default, by_other = map(min, paired_seconds(functions, rounds, clock=time.process_time))
        row[f"{name}, oneDNN over default"] = by_default / by_other
        is_taken = uses_onednn("auto") and is_auto and is_large
        chosen.append(by_default / by_other if is_taken else 1.0)
    row["auto over default, least"] = min(chosen)
    row["never slower"] = verdict(min(chosen), NEVER_SLOWER)
    return row


def main() -> None:
    """Print both tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(cpu_name())
    rates = best_rates(clock=time.process_time)
    if lacks_bfloat16():
        print("bfloat16: this processor has no instructions for it (avx512_bf16 or AMX)")
    for precision, by_library in rates.items():
        texts = ", ".join(f"{library} {rate:.0f}" for library, rate in by_library.items())
        print(f"{precision}, GFLOP/s on one core: {texts}; best {max(by_library.values()):.0f}")
    rows = [one_layer(m, k, n, options.rounds) for k, n in SIZES for m in ROWS]
    report("products", rows, gflops=rates)


if __name__ == "__main__":
    main()
