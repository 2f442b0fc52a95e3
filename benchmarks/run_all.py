"""Run the CPU benchmarks one after the other (`make bench`): tables, targets, dated results.

Each is a process of its own with a time limit of its own. Targets are those for the processor at
hand; what has none there, and what takes too long, is said. One that fails does not stop the
others, but the whole then ends with an error.
"""

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS: dict[str, tuple[str, ...]] = {
    "products": (),
    "tokenise": (),
    "loader": (),
    "train_step": (),
    "beside": ("--rounds", "1"),
    "end_to_end": ("--steps", "4", "--cells", "16"),
    "scaling": (),
}
"""Script -> its arguments; every script also runs alone."""
LIMIT_SECONDS = 800
TOO_LONG = {
    "a million cells through prepare (an hour)": "git worktree add --detach FOLDER 7ccd5ff && "
    "python benchmarks/prepare_memory.py --cells 1000000 --other FOLDER",
    "the step on an NVIDIA GPU": "python benchmarks/gpu.py",
}
"""Targets that are not measured here, and how to."""


def main() -> None:
    """Run all, then say how long each took and which of them failed."""
    outcome = {}
    for name, arguments in COMMANDS.items():
        print(f"\n=== {name} ===", flush=True)
        started = time.perf_counter()
        outcome[name] = f"{run(name, arguments)}, {time.perf_counter() - started:.0f} s"
    print("\n=== all ===")
    for name, text in outcome.items():
        print(f"{name}: {text}")
    for what, how in TOO_LONG.items():
        print(f"not measured here: {what}; {how}")
    if any(not text.startswith("done") for text in outcome.values()):
        sys.exit(1)


def run(name: str, arguments: tuple[str, ...]) -> str:
    """How one script ended; what it prints goes where ours goes."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    try:
        code = subprocess.run(command, check=False, timeout=LIMIT_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {LIMIT_SECONDS} s"
    return "done" if code == 0 else f"failed with exit code {code}"


if __name__ == "__main__":
    main()
