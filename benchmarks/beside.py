"""How much faster are training steps and forward passes than those of another commit, in one run?

    python benchmarks/beside.py [--commit 7ccd5ff]
    python benchmarks/beside.py --other FOLDER

Two processes, one for each source tree, take turns, a step each; both on one core, in CPU seconds.
The other commit computes in float32, ours in float32 and bfloat16. A forward pass is without
dropout, as in reading cells, predicting and scoring candidates; a step is a forward and a backward
pass with the dropout of training; an update also clips gradients and updates the weights (default
model, 16 pairs of about 126 ranks among 607 genes, as simulated). Each step has pairs of its own,
as in training: a library that compiles a kernel for each new shape pays for it here too. Targets
are those for this processor.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGE = Path("sub-packages/bionemo-geneformer-t/src")
PAIRS, RANKS, GENES = 16, (100, 153), 607
BASELINE = "7ccd5ff"
"""The commit that targets are relative to."""
STEPS = {  # model, lengths, what is done -> target of bfloat16, and of float32 on AMD
    ("BioNeMo 10M", "typical", "step"): (2.5, 1.4),
    ("default", "typical", "step"): (3.0, 1.4),
    ("default", "simulated", "update"): (2.5, None),
    ("default", "typical", "forward"): (2.5, None),
}
ELSEWHERE = 1.0
"""Target of float32 where PyTorch's default library already takes the widest instructions."""


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
    what: str
    precision: str = "float32"
    fused: bool = False


def serve() -> None:
    """Take the steps that are asked for, one line each."""
    import torch

    torch.set_num_threads(1)
    steps: dict[Asked, Callable[[], Callable[[], None]]] = {}
    for line in sys.stdin:
        asked = Asked(*json.loads(line))
        if asked not in steps:
            steps.clear()  # one network at a time
            steps[asked] = make_step(asked)
            steps[asked]()()
        step = steps[asked]()
        started = time.process_time()
        step()
        print(time.process_time() - started, flush=True)


def make_step(asked: Asked) -> Callable[[], Callable[[], None]]:
    """What draws pairs and returns a training step on them, by the source tree of this process."""
    import numpy as np
    import torch
    import train_step
    from textbook import packed, random_pair

    config = train_step.MODELS[asked.model]
    if asked.what != "forward":
        config = replace(config, **train_step.AS_TRAINED)
    torch.manual_seed(0)
    net = train_step.NextCellBert(config)
    attend, seeds = train_step.attention(net), count()
    update = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=asked.fused)

    def draw() -> Callable[[], None]:
        seed = next(seeds)
        if asked.lengths != "simulated":
            number = train_step.PAIRS[asked.lengths]
            return partial(step, packed(train_step.make_pairs(asked.lengths, number, seed)))
        rng = np.random.default_rng(seed)
        ranks = rng.integers(*RANKS, (PAIRS, 2)).tolist()
        return partial(
            step, packed([random_pair(rng, n, m, round(0.15 * m), GENES) for n, m in ranks])
        )

    def step(batch: Any) -> None:
        net.zero_grad()
        with (
            torch.set_grad_enabled(asked.what != "forward"),
            torch.autocast("cpu", torch.bfloat16, enabled=asked.precision == "bfloat16"),
        ):
            loss = net.summed_loss(batch, attend) / batch.num_scored
        if asked.what == "forward":
            return
        loss.backward()
        if asked.what == "update":
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            update.step()

    return draw


@contextmanager
def checkout(commit: str) -> Iterator[Path | None]:
    """A source tree of a commit, removed again; None where this copy does not hold the commit."""
    git = ["git", "-C", str(HERE)]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / commit
        made = subprocess.run(
            [*git, "worktree", "add", "--quiet", "--detach", str(tree), commit],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode != 0:
            print(made.stderr.strip(), file=sys.stderr)
            yield None
            return
        try:
            yield tree
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=True)


def targets_here(bfloat16: float, float32: float | None) -> dict[str, tuple[float | None, str]]:
    """Each precision's target on this processor, or None and why it has none.

    Args:
        bfloat16: Target where the processor has instructions for it.
        float32: Target on AMD's processors with AVX-512; None where there is none.
    """
    from bionemo.geneformer_t.model.products import is_amd_with_avx512, lacks_bfloat16

    without = (None, "no target: this processor has neither avx512_bf16 nor AMX")
    elsewhere = None if float32 is None else ELSEWHERE
    return {
        "bfloat16": without if lacks_bfloat16() else (bfloat16, ""),
        "float32": (float32 if is_amd_with_avx512() else elsewhere, ""),
    }


def compare(other: Path, rounds: int) -> None:
    """Print the table and the JSON line."""
    import torch
    from measure import ratio, report, verdict

    torch.set_num_threads(1)  # as in both processes
    theirs, ours = Side(other, fused=False), Side(HERE.parent, fused=True)
    rows = []
    for step, targets in STEPS.items():
        for precision, (target, why) in targets_here(*targets).items():
            row = {"model": step[0], "lengths": step[1], "what": step[2], "precision": precision}
            if why:  # emulated products would take minutes
                nothing = dict.fromkeys(("other, CPU s", "CPU s", "times as fast"), "-")
                rows.append({**row, **nothing, "target": why})
                continue
            times = [
                (theirs.seconds(Asked(*step)), ours.seconds(Asked(*step, precision)))
                for _ in range(rounds)
            ]
            before, now = zip(*times, strict=True)
            times_as_fast = ratio(before, now)
            rows.append(
                {
                    **row, "other, CPU s": min(before), "CPU s": min(now),
                    "times as fast": times_as_fast, "target": verdict(times_as_fast, target),
                }
            )  # fmt: skip
    report("beside", rows)


def main() -> None:
    """Compare with a source tree, or with a commit that is checked out for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", default=BASELINE, help="the commit to compare with")
    parser.add_argument("--other", type=Path, help="a source tree to compare with instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.other is not None:
        compare(options.other.resolve(), options.rounds)
    else:
        with checkout(options.commit) as tree:
            if tree is None:
                print(f"no target is measured: commit {options.commit} is not in this copy")
            else:
                compare(tree, options.rounds)


if __name__ == "__main__":
    main()
