"""Run the CPU benchmarks one after the other (`make bench`): tables, targets, dated results.

Each is a process of its own with a time limit of its own; together they stay under 15 minutes on
two idle cores. One that fails does not stop the others, but the whole then ends with an error.
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
    "end_to_end": ("--steps", "4", "--cells", "16"),
    "scaling": (),
}
"""Script -> its arguments; every script also runs alone."""
LIMIT_SECONDS = 800


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
