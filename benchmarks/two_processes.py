"""Start a second training process on the folder of a run, and see what becomes of the first.

Two fresh runs, a fresh one and a resume, and two resumes of a run that was killed. The second
process starts with the first one, or when that builds its caches, takes an optimizer step,
validates or writes a checkpoint. One of the two must come to its end as a run that nobody
disturbed: the same weights and optimizer to the last bit, the same metrics.csv to the last byte.
The other must be refused by name, and config.yaml and checkpoints must hold nothing of it.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from kill_resume import CACHE, PHASES, digest, run_part, tell, train_and_exit, write_data
from measure import report

AT_ONCE = "at once"
RESUME = {"resume_from_checkpoint": "last"}
FRESH = {"resume_from_checkpoint": None}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fresh + fresh": (FRESH, FRESH),
    "fresh + resume": (FRESH, RESUME),
    "resume + resume": (RESUME, RESUME),
}
"""What the first and the second process are asked for."""
REFUSED = re.compile(r"(FolderInUse|FileExists)Error: (.*)")
KILLED_IN = ("validation", 4, 0.0)
"""Where the run that is resumed was killed."""
SHORT = {"num_epochs": 2}
"""Settings of all, beside those of `kill_resume`."""


def start(
    data: Path, output: Path, log: Path, settings: dict[str, Any], moment: str | None = None
) -> tuple[int, int | None]:
    """Start a process; its id, and a pipe that becomes readable at a moment of its training."""
    reader, writer = os.pipe() if moment else (None, None)
    child = os.fork()
    if not child:
        watch = partial(tell, writer, moment, 1) if moment else None
        train_and_exit(data, output, log, watch, **settings)
    if writer is not None:
        os.close(writer)
    return child, reader


def disturb(data: Path, output: Path, kind: str, moment: str) -> dict[str, Any]:
    """Two processes on one folder.

    Returns:
        Which of them came to their end, whose settings the record holds, and what the others said.
    """
    logs = {name: output.with_name(f"{output.name}-{name}.log") for name in ("first", "second")}
    asked = {
        name: {**SHORT, **settings, "wandb_project": name}  # a setting that changes nothing else
        for name, settings in zip(logs, KINDS[kind], strict=True)
    }
    first, reader = start(
        data, output, logs["first"], asked["first"], None if moment == AT_ONCE else moment
    )
    if reader is not None:
        os.read(reader, 1)  # empty where it has ended before
        os.close(reader)
    second, _ = start(data, output, logs["second"], asked["second"])
    codes = {
        name: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for name, child in (("first", first), ("second", second))
    }
    said = {name: REFUSED.search(log.read_text()) for name, log in logs.items() if codes[name]}
    config = yaml.safe_load((output / "config.yaml").read_text())
    kept = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "ended": [name for name, code in codes.items() if code == 0],
        "record_of": [
            config["wandb_project"],
            kept["callbacks"]["RunCheckpoints"]["settings"]["wandb_project"],
        ],
        "refused": {name: found and found[0] for name, found in said.items()},
        "hash": digest(output),
        "metrics": (output / "metrics.csv").read_bytes(),
        "left": [path.name for path in output.iterdir() if path.name.startswith(".")],
    }


def is_whole(found: dict[str, Any], undisturbed: dict[str, Any], moment: str) -> bool:
    """Whether one process ended as if it had been alone, and the other was refused."""
    ended = found["ended"]
    may_end = (["first"], ["second"]) if moment == AT_ONCE else (["first"],)
    return (
        ended in may_end
        and found["record_of"] == ended * 2
        and all(found["refused"].values())
        and (found["hash"], found["metrics"]) == (undisturbed["hash"], undisturbed["metrics"])
        and not found["left"]
    )


def main() -> int:
    """Run all tries; 1 where one of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    moments = [AT_ONCE, *PHASES]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data, alone, log = write_data(root / "data", options.seed), root / "alone", root / "log"
        run_part(data, alone, log, None, **SHORT)
        undisturbed = {"hash": digest(alone), "metrics": (alone / "metrics.csv").read_bytes()}
        for number, kind in enumerate(KINDS):
            row: dict[str, Any] = {"kind": kind, "tries": len(moments), "whole": 0, "went_on": []}
            for moment in moments:
                output = root / f"{number}-{moment}"
                if kind == "resume + resume":
                    run_part(data, output, log, KILLED_IN, wandb_project="first", **SHORT)
                if moment == CACHE:  # or it would not be built
                    for cache in data.glob("*/.cache"):
                        shutil.rmtree(cache)
                found = disturb(data, output, kind, moment)
                is_good = is_whole(found, undisturbed, moment)
                row["whole"] += is_good
                row["went_on"] += found["ended"]
                print(
                    f"{kind}, {moment}: {'whole' if is_good else 'BROKEN'}, {found['refused']}",
                    flush=True,
                )
            rows.append(row)
    passed = all(row["whole"] == row["tries"] for row in rows)
    report("two_processes", rows, seed=options.seed, moments=moments, passed=passed)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
