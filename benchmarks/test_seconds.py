"""CPU seconds of the tests by file, with those of the processes that they start.

`python benchmarks/test_seconds.py --beside 7ccd5ff` measures an earlier commit in the same way and
prints both beside each other. One process runs all tests one after the other, on one thread; caches
of compiled code start empty, as in a fresh clone. Seconds of CPU, not of the clock, so that
other programs on the machine matter little. Arguments behind `--` go to pytest: the files to
measure, or `-n 2 --dist worksteal` for the total of `make test`, imports of every process included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = Path("sub-packages") / "bionemo-geneformer-t"
RECORD = "GENEFORMER_T_TEST_SECONDS"
"""Environment variable with the file in which each test adds a line."""
TOTAL = "all, imports and collection included"
OWN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN


def main() -> None:
    """Measure this tree, and the earlier commit where one is named; print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beside", metavar="COMMIT", help="an earlier commit to measure as well")
    arguments, of_pytest = parser.parse_known_args()
    of_pytest = [argument for argument in of_pytest if argument != "--"]
    with tempfile.TemporaryDirectory() as folder:
        trees = {"now": REPOSITORY}
        if arguments.beside:
            trees = {arguments.beside: check_out(arguments.beside, Path(folder)), **trees}
        found = {
            name: measure(tree, of_pytest, Path(folder) / f"of_{name}")
            for name, tree in trees.items()
        }
    print_table(found)


def check_out(commit: str, folder: Path) -> Path:
    """The files of a commit, in a folder with the same neighbor `shared` as this repository."""
    tree = folder / "tree"
    tree.mkdir()
    archive = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", commit], stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
    shared = REPOSITORY.parent / "shared"
    if shared.exists():
        (folder / "shared").symlink_to(shared)
    return tree


def measure(tree: Path, of_pytest: list[str], folder: Path) -> dict[str, float]:
    """CPU seconds of each test file of a tree, and of the whole run."""
    folder.mkdir()
    record = folder / "record.jsonl"
    record.touch()
    paths = [tree / PACKAGE / "src", REPOSITORY / "benchmarks"]
    environment = {
        **os.environ,
        RECORD: str(record),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "test_seconds",
            f"--basetemp={folder / 'tests'}", *of_pytest,
        ],
        cwd=tree / PACKAGE, env=environment, check=False,
    )  # fmt: skip
    seconds: dict[str, float] = defaultdict(float)
    for line in record.read_text().splitlines():
        name, spent = json.loads(line)
        seconds[name] += spent
    return {**seconds, TOTAL: cpu_seconds(resource.RUSAGE_CHILDREN) - before}


def print_table(found: dict[str, dict[str, float]]) -> None:
    """The files in Markdown, the most expensive first, and the ratio of the sums."""
    first, *others = found
    names = {name for seconds in found.values() for name in seconds}
    order = sorted(names, key=lambda name: -max(found[tree].get(name, 0) for tree in found))
    print(f"| file | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for name in order:
        print(f"| {name} | {' | '.join(f'{found[tree].get(name, 0):.1f}' for tree in found)} |")
    for other in others:
        ratio = found[other][TOTAL] / found[first][TOTAL]
        print(f"\n{other} takes {ratio:.2f} of the CPU seconds of {first}")


def cpu_seconds(*whose: int) -> float:
    """What the kernel has counted for this process or its children that have ended."""
    used = [resource.getrusage(who) for who in whose]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Add what a test took, fixtures included, to the record; pytest loads this file to do so."""
    before = cpu_seconds(*OWN)
    try:
        return (yield)
    finally:
        name = item.path.relative_to(item.config.rootpath).as_posix()
        with Path(os.environ[RECORD]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, cpu_seconds(*OWN) - before]) + "\n")


if __name__ == "__main__":
    main()
