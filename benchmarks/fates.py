"""Fate probabilities of one chain, here and by CellRank: equal, in how much time and memory?

    python benchmarks/fates.py --cellrank_python /path/to/environment/bin/python
    python benchmarks/fates.py --make_environment /path/to/new/environment

The chain: cells of a trunk and five branches in five dimensions, the nearest cells of each, those
ahead in time preferred (as by CellRank's PseudotimeKernel with the soft scheme). Terminal are the
last cells of each branch. Both solve the same file in a process of their own, in turn, and write
what they found. Seconds are those of checking and solving, without imports and reading; memory is
that of the whole process and of those that it starts, at its highest, and what solving adds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp

HERE = Path(__file__).parent
CELLRANK = "cellrank==2.0.7"
"""The newest that runs on Python 3.11."""
TARGETS = {"times faster": 3.0, "of its memory": 1 / 3, "seconds": 60.0, "MB": 2000.0}
NUM_BRANCHES = 5
_SOFT, _LEAST, _LAST = 200.0, 1e-3, 0.97


def make_chain(num_cells: int, num_edges: int, seed: int) -> tuple[sp.csr_array, np.ndarray]:
    """Transitions, and the branch of terminal cells, -1 for all others."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(seed)
    when, branch = rng.uniform(size=num_cells), rng.integers(NUM_BRANCHES, size=num_cells)
    points = rng.normal(scale=0.08, size=(num_cells, NUM_BRANCHES))
    points[:, 0] += 3 * when
    away = np.eye(NUM_BRANCHES)[branch][:, 1:] - 1 / NUM_BRANCHES
    points[:, 1:] += 4 * np.clip(when - 0.4, 0, None)[:, None] * away
    distances, cells = NearestNeighbors(n_neighbors=num_edges + 1).fit(points).kneighbors(points)
    distances, cells = distances[:, 1:], cells[:, 1:]
    weights = np.exp(-((distances / np.median(distances, axis=1)[:, None]) ** 2))
    weights *= _LEAST + 1 / (1 + np.exp(-_SOFT * (when[cells] - when[:, None])))
    weights /= weights.sum(axis=1, keepdims=True)
    indptr = np.arange(0, cells.size + 1, num_edges)
    shape = (num_cells, num_cells)
    chain = sp.csr_array((weights.ravel(), cells.ravel(), indptr), shape=shape)
    chain.sort_indices()
    return chain, np.where((when > _LAST) & (when > 0.4), branch, -1)


def solve_here(folder: Path) -> None:
    """Read the chain, solve it, and say how long it took."""
    from bionemo.geneformer_t.fates.chain_structure import chain_structure, checked_transitions
    from bionemo.geneformer_t.fates.fate_probabilities import fate_probabilities
    from bionemo.geneformer_t.fates.terminal_states import TerminalStates

    chain, state = sp.load_npz(folder / "chain.npz"), np.load(folder / "state.npy")
    names = tuple(f"branch {number}" for number in range(NUM_BRANCHES))
    states = TerminalStates(names=names, state=state, how="the last cells of each branch")
    cells = [f"cell_{number}" for number in range(len(state))]
    before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    transitions = checked_transitions(chain, cells)
    found = fate_probabilities(transitions, chain_structure(transitions), states)
    took = {
        "seconds": time.perf_counter() - wall,
        "CPU seconds": time.process_time() - cpu,
        "MB added": peak_mb() - before,
        "largest error": found.solution.error,
        "iterations": found.solution.iterations,
    }
    np.save(folder / "here.npy", found.probabilities)
    print(json.dumps(took))


def peak_mb() -> float:
    """The highest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def measured(command: list[str]) -> dict[str, Any]:
    """What a process prints last, and the highest memory of it and its children together."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        highest, ended = [0.0], threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                highest[0] = max(highest[0], tree_mb(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        printed, _ = process.communicate()
        ended.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return {**json.loads(printed.splitlines()[-1]), "MB": highest[0]}


def tree_mb(pid: int) -> float:
    """Memory of a process and all below it; what they share counts once."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):  # it has ended
        return 0.0
    return own + sum(tree_mb(int(child)) for child in below)


def make_environment(folder: Path) -> Path:
    """A new environment with CellRank; its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", CELLRANK], check=True)
    return python


def main() -> None:
    """Solve in turn, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cellrank_python", type=Path, help="Python of an environment with it")
    parser.add_argument("--make_environment", type=Path, help="folder for a new environment")
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--edges", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--no_record", action="store_true", help="write no result")
    parser.add_argument("--solve_here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.solve_here is not None:
        solve_here(options.solve_here)
        return
    python = options.cellrank_python
    if options.make_environment is not None:
        python = make_environment(options.make_environment)
    if python is None:
        parser.error("give --cellrank_python or --make_environment")
    os.environ["OMP_NUM_THREADS"] = str(options.cores)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chain, state = make_chain(options.cells, options.edges, options.seed)
        sp.save_npz(folder / "chain.npz", sp.csr_matrix(chain), compressed=False)
        np.save(folder / "state.npy", state)
        theirs = [str(python), str(HERE / "fates_cellrank.py"), name]
        commands = {
            "here": [sys.executable, __file__, "--solve_here", name],
            "CellRank": [*theirs, "1"],
        }
        if options.cores > 1:
            commands["CellRank, all cores"] = [*theirs, str(options.cores)]
        rounds: list[dict[str, dict[str, Any]]] = []
        for _ in range(options.rounds):
            rounds.append({who: measured(line) for who, line in commands.items()})
            print(rounds[-1], flush=True)
        difference = np.abs(np.load(folder / "here.npy") - np.load(folder / "cellrank.npy"))
    print_results(rounds, float(difference.max()), options)


def print_results(
    rounds: list[dict[str, dict[str, Any]]], difference: float, options: argparse.Namespace
) -> None:
    """The table with targets, and a dated result."""
    from measure import report, verdict

    rows = []
    for who in rounds[0]:
        runs = [one[who] for one in rounds]
        row: dict[str, Any] = {"who": who}
        for figure in ("seconds", "CPU seconds", "MB", "MB added"):
            row[figure] = median(run[figure] for run in runs)
        for figure in ("seconds", "CPU seconds"):
            row[f"{figure}, times ours"] = median(
                one[who][figure] / one["here"][figure] for one in rounds
            )
        for figure in ("MB", "MB added"):
            row[f"{figure}, times ours"] = row[figure] / rows[0][figure] if rows else 1.0
        rows.append(row)
    here, alone = rows[:2]
    figures = {
        "largest difference": (difference, 1e-6),
        "times faster, CPU": (alone["CPU seconds, times ours"], TARGETS["times faster"]),
        "of its memory": (1 / alone["MB, times ours"], TARGETS["of its memory"]),
        "seconds": (here["seconds"], TARGETS["seconds"]),
        "MB": (here["MB"], TARGETS["MB"]),
    }
    shown = [
        {
            "figure": name,
            "value": value,
            "target": verdict(value, target, at_least=name.startswith("times")),
        }
        for name, (value, target) in figures.items()
    ]
    report(
        "fates", rows, shown, write=not options.no_record, cells=options.cells,
        edges=options.edges, fates=NUM_BRANCHES, difference=difference,
        first_round=rounds[0],
    )  # fmt: skip


if __name__ == "__main__":
    main()
