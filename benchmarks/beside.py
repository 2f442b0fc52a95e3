"""How much faster are training steps than those of another commit, in one run?

    git worktree add --detach FOLDER 7ccd5ff
    python benchmarks/beside.py --other FOLDER

Two processes, one for each source tree, take turns, a step each; both on one core, in CPU seconds.
The other commit computes in float32, ours in float32 and bfloat16, all with the dropout of
training. A step of a model is a forward and a backward pass; an optimizer step also clips gradients
and updates the weights (default model, 16 pairs of 126 ranks among 607 genes, as simulated).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGE = Path("sub-packages/bionemo-geneformer-t/src")
PAIRS, RANKS, GENES = 16, 126, 607
STEPS = {  # model, lengths, whether the optimizer takes part -> target of bfloat16, of float32
    ("BioNeMo 10M", "typical", False): (2.5, 1.4),
    ("default", "typical", False): (3.0, 1.4),
    ("default", "simulated", True): (2.5, None),
}


class Side:
    """A process that imports one source tree and takes steps when asked.

    Args:
        root: The source tree.
        fused: Whether its training updates weights in one pass.
    """

    def __init__(self, root: Path, *, fused: bool) -> None:
        self._root, self._fused = root, fused
        path = os.pathsep.join(str(root / part) for part in (PACKAGE, "benchmarks"))
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "beside.py"), "--serve"],
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, asked: "Asked") -> float:
        """CPU seconds of one step."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked._replace(fused=self._fused)) + "\n")
        self._process.stdin.flush()
        seconds = self._process.stdout.readline()
        if not seconds:
            raise RuntimeError(f"{self._root} ended in the step {asked}; what it says is above")
        return float(seconds)


class Asked(NamedTuple):
    """A step that a process is asked for."""

    model: str
    lengths: str
    with_optimizer: bool
    precision: str = "float32"
    fused: bool = False


def serve() -> None:
    """Take the steps that are asked for, one line each."""
    import torch

    torch.set_num_threads(1)
    steps: dict[Asked, Callable[[], None]] = {}
    for line in sys.stdin:
        asked = Asked(*json.loads(line))
        if asked not in steps:
            steps.clear()  # one network at a time
            steps[asked] = make_step(asked)
            steps[asked]()
        started = time.process_time()
        steps[asked]()
        print(time.process_time() - started, flush=True)


def make_step(asked: Asked) -> Callable[[], None]:
    """A training step by the source tree of this process."""
    import numpy as np
    import torch
    import train_step
    from textbook import packed, random_pair

    config = replace(train_step.MODELS[asked.model], **train_step.AS_TRAINED)
    torch.manual_seed(0)
    net = train_step.NextCellBert(config)
    if asked.lengths == "simulated":
        generator = np.random.default_rng(0)
        pairs = [
            random_pair(generator, RANKS, RANKS, round(0.15 * RANKS), GENES) for _ in range(PAIRS)
        ]
    else:
        pairs = train_step.make_pairs(asked.lengths, train_step.PAIRS[asked.lengths])
    batch, attend = packed(pairs), train_step.attention(net)
    update = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=asked.fused)

    def step() -> None:
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=asked.precision == "bfloat16"):
            loss = net.summed_loss(batch, attend) / batch.num_scored
        loss.backward()
        if asked.with_optimizer:
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            update.step()

    return step


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.other is None:
        parser.error("--other is needed: a checkout of the commit to compare with")
    import torch
    from measure import ratio, report, verdict

    torch.set_num_threads(1)  # as in both processes

    other, ours = Side(options.other, fused=False), Side(HERE.parent, fused=True)
    rows = []
    for step, targets in STEPS.items():
        for precision, target in zip(("bfloat16", "float32"), targets, strict=True):
            times = [
                (other.seconds(Asked(*step)), ours.seconds(Asked(*step, precision)))
                for _ in range(options.rounds)
            ]
            before, now = zip(*times, strict=True)
            times_as_fast = ratio(before, now)
            rows.append(
                {
                    "model": step[0], "lengths": step[1], "with optimizer": step[2],
                    "precision": precision, "other, CPU s": min(before), "CPU s": min(now),
                    "times as fast": times_as_fast, "target": verdict(times_as_fast, target),
                }
            )  # fmt: skip
    report("beside", rows)


if __name__ == "__main__":
    main()
