"""How much faster is our training step than the textbook one, and is it the same step?

Compares, pair by pair in one run: ours; the textbook oracle (padded to `seq_length`, logits
everywhere); and the oracle as a good engineer would improve it first (padded to the longest of the
batch, logits at scored positions only).
"""

import argparse
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anndata
import numpy as np
import torch
from measure import matmul_gflops, paired_seconds, peak_mb, ratio, report
from operations import needed
from textbook import (
    Pair,
    improved_loss,
    packed,
    random_pair,
    textbook_inputs,
    textbook_loss,
    textbook_model,
)

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.attention import choose_attention
from bionemo.geneformer_t.model.encoder import NextCellBert

SEQ_LENGTH, LONGEST, MASK_PROB = 2048, 1022, 0.15
TYPICAL_MEDIAN, TYPICAL_SPREAD = 700, 0.4  # a log-normal like that of 10x data
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "ipsc_cm_human.h5ad"

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MODELS = {
    "BioNeMo 10M": BioBertConfig(
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=512,
        **NO_DROPOUT,
    ),
    "default": BioBertConfig(**NO_DROPOUT),
}
TARGETS = {  # against the oracle, against the improved oracle
    ("BioNeMo 10M", "full"): (5, None),
    ("BioNeMo 10M", "typical"): (10, 2),
    ("default", "full"): (3.5, None),
    ("default", "typical"): (6, 2),
}
FRACTION_TARGET, MEMORY_TARGET, LOSS_TARGET, GRADIENT_TARGET = 0.65, 1 / 6, 1e-5, 1e-4


def cell_lengths(kind: str, number: int, generator: np.random.Generator) -> np.ndarray:
    """Genes per cell, cut to what `seq_length` leaves each cell."""
    if kind == "full":
        return np.full(number, LONGEST)
    if kind == "typical":
        drawn = TYPICAL_MEDIAN * np.exp(generator.normal(0, TYPICAL_SPREAD, number))
        return np.clip(drawn.astype(int), 1, LONGEST)
    counts = anndata.read_h5ad(REAL).X
    return np.minimum(generator.choice(np.diff(counts.tocsr().indptr), number), LONGEST)


def make_pairs(kind: str, number: int, seed: int = 0) -> list[Pair]:
    """Random pairs with lengths of the kind asked for."""
    generator = np.random.default_rng(seed)
    lengths = cell_lengths(kind, 2 * number, generator).reshape(-1, 2)
    vocab = MODELS["default"].vocab_size
    return [
        random_pair(generator, int(n), int(m), max(1, round(MASK_PROB * m)), vocab)
        for n, m in lengths
    ]


def steps(name: str, kind: str, number: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Forward and backward passes from the same weights: ours, the oracle, the improved oracle."""
    torch.manual_seed(0)
    net = NextCellBert(MODELS[name])
    oracle = textbook_model(net)
    pairs = make_pairs(kind, number)
    batch = packed(pairs)
    attend = choose_attention("auto", torch.device("cpu"))
    padded = textbook_inputs(pairs, net.config, SEQ_LENGTH)
    shorter = textbook_inputs(pairs, net.config)

    def step(module: torch.nn.Module, loss_of: Callable[[], torch.Tensor]) -> torch.Tensor:
        module.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss.detach()

    return {
        "ours": partial(step, net, lambda: net.summed_loss(batch, attend) / batch.num_scored),
        "oracle": partial(step, oracle, lambda: textbook_loss(oracle, padded)),
        "improved": partial(step, oracle, lambda: improved_loss(oracle, shorter)),
    }


def differences(name: str, kind: str, number: int) -> tuple[float, float]:
    """Relative difference of the loss, and the largest of any gradient."""
    found = steps(name, kind, number)
    loss, expected = found["ours"](), found["oracle"]()
    net, oracle = found["ours"].args[0], found["oracle"].args[0]
    references = {n: p.grad for n, p in oracle.named_parameters(remove_duplicate=False)}
    # A key's bias has no gradient but rounding: it is measured against the largest one.
    scale = max(float(gradient.norm()) for gradient in references.values())
    worst = max(
        float(
            (p.grad - references[n]).norm()
            / (scale if n.endswith("self.key.bias") else references[n].norm())
        )
        for n, p in net.named_parameters()
    )
    return float(abs(loss - expected) / expected), worst


def peak_memory(
    queue: multiprocessing.Queue, which: str, name: str, kind: str, number: int
) -> None:
    """Megabytes that a step adds to a fresh process that already holds weights and batch."""
    queue.put(peak_mb(steps(name, kind, number)[which]))


def memory_of(which: str, name: str, kind: str, number: int) -> float:
    """`peak_memory` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=peak_memory, args=(queue, which, name, kind, number))
    process.start()
    megabytes = queue.get()
    process.join()
    return megabytes


def compare(name: str, kind: str, number: int, rounds: int) -> dict[str, object]:
    """One row of the table."""
    found = steps(name, kind, number)
    rate = matmul_gflops()
    times = dict(zip(found, paired_seconds(list(found.values()), rounds), strict=True))
    rate = max(rate, matmul_gflops())
    loss_diff, grad_diff = differences(name, kind, number)
    operations = needed(MODELS[name], packed(make_pairs(kind, number)))
    against_oracle, against_improved = TARGETS.get((name, kind), (None, None))
    memory = {which: memory_of(which, name, kind, number) for which in ("ours", "oracle")}
    return {
        "model": name,
        "lengths": kind,
        "seconds": min(times["ours"]),
        "speedup": ratio(times["oracle"], times["ours"]),
        "target": against_oracle or "-",
        "speedup_vs_improved": ratio(times["improved"], times["ours"]),
        "target_vs_improved": against_improved or "-",
        "fraction_of_matmul": operations / min(times["ours"]) / 1e9 / rate,
        "peak_memory_ratio": memory["ours"] / memory["oracle"],
        "loss_rel_diff": loss_diff,
        "grad_rel_diff": grad_diff,
    }


def shared_context(name: str, rounds: int, next_cells: int = 4) -> float:
    """Time of several next cells per context against one."""
    net = NextCellBert(MODELS[name])
    attend = choose_attention("auto", torch.device("cpu"))
    pairs = make_pairs("full", 2 * next_cells)
    one = packed(pairs[:2])
    shared = [replace(p, context=pairs[i // next_cells].context) for i, p in enumerate(pairs)]
    several = packed(shared, context_of=[i // next_cells for i in range(len(pairs))])

    def step(batch):
        net.zero_grad()
        (net.summed_loss(batch, attend) / batch.num_scored).backward()

    times = paired_seconds([partial(step, several), partial(step, one)], rounds)
    return ratio(*times)


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2, help="pairs per batch")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    kinds = ["full", "typical", *(["ipsc_cm_human"] if REAL.is_file() else [])]
    rows = [compare(name, kind, options.pairs, options.rounds) for name in MODELS for kind in kinds]
    four = {name: shared_context(name, options.rounds) for name in MODELS}
    print(f"targets: fraction of the matrix rate >= {FRACTION_TARGET}, memory <= 1/6, loss "
          f"{LOSS_TARGET}, gradients {GRADIENT_TARGET}")  # fmt: skip
    for name, factor in four.items():
        print(f"four next cells per context, {name}: {factor:.2f}x the time of one (target 1.9)")
    report("train_step", rows, four_next_cells=four)


if __name__ == "__main__":
    main()
