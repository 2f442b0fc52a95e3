"""What is said of populations that are alike, and how wide their intervals are.

    python benchmarks/population_power.py [--replicates 200]

Cells have five programmes and independent noise. Current cells, next cells, training cells and the
cells that a model draws are drawn anew in each replicate. One row for each distance and setting:
the mean of no change over the noise ceiling, its standard deviation over replicates beside the
standard error that its intervals claim, how often it has power, and how often the model is called
nearer or further than no change.
"""

import argparse
from typing import Any

import numpy as np
import scipy.sparse as sp
from measure import report

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.scores.population import DISTANCES
from bionemo.geneformer_t.evaluate.scores.population_reference import (
    NO_CHANGE,
    PopulationReference,
    Populations,
)
from bionemo.geneformer_t.evaluate.units import Units

NUM_GENES, NUM_PROGRAMMES, NUM_TRAINING = 60, 5, 200
LOADINGS = 0.3 * np.random.default_rng(0).normal(size=(NUM_PROGRAMMES, NUM_GENES))
SETTINGS = {
    "alike, 30 cells": (30, 0.0, 0.0, False),
    "alike, 80 cells": (80, 0.0, 0.0, False),
    "alike, 200 cells": (200, 0.0, 0.0, False),
    "alike, 80 cells in both roles": (80, 0.0, 0.0, True),
    "moved by 3, model half the way, 80 cells": (80, 3.0, 1.5, False),
    "moved by 10, model half the way, 80 cells": (80, 10.0, 5.0, False),
}
"""Name -> cells, the step of next cells and of the model's along the first programme, and whether
most cells are both current and next ones."""


def replicate(
    number: int, step: float, predicted: float, seed: int, *, in_both_roles: bool
) -> Populations:
    """One draw of all cells."""
    rng = np.random.default_rng(seed)
    way = LOADINGS[0] / np.linalg.norm(LOADINGS[0])

    def draw(cells: int, moved: float) -> np.ndarray:
        programmes = rng.normal(size=(cells, NUM_PROGRAMMES)) * np.linspace(3, 1, NUM_PROGRAMMES)
        return programmes @ LOADINGS + rng.normal(size=(cells, NUM_GENES)) + moved * way

    start = number // 4 if in_both_roles else number
    following = start + rng.permutation(number)
    cells = draw(start + number, 0.0)
    cells[number:] += step * way
    pairs = CellPairs(
        encode=lambda _cell: np.zeros(0, dtype=np.int64),
        current=np.arange(number),
        following=following,
        weights=np.ones(number),
        max_genes=1,
        gene_ids=np.zeros(0, dtype=np.int64),
        vocab_size=NUM_GENES,
    )
    reference = PopulationReference.of(
        sp.csr_matrix(cells[:number]),
        sp.csr_matrix(cells[start:]),
        sp.csr_matrix(draw(NUM_TRAINING, step / 2)),
        Units.of(pairs),
        rng,
    )
    return reference.compare(reference.distance(draw(number, predicted)))


def rows_of(setting: str, found: list[Populations]) -> list[dict[str, Any]]:
    """One row for each distance."""
    rows = []
    for name in DISTANCES:
        power = [one.power.intervals[name] for one in found]
        verdicts = np.array([one.gains[NO_CHANGE].intervals[name].verdict for one in found])
        # Student's t of these numbers of cells is 1.97 to 2.05
        error = np.mean([one.high - one.mean for one in power]) / 2
        rows.append({
            "setting": setting,
            "distance": name,
            "mean": float(np.mean([one.mean for one in power])),
            "sd": float(np.std([one.mean for one in power])),
            "claimed": float(error),
            "power": float(np.mean([one.verdict == "better" for one in power])),
            "nearer": float(np.mean(verdicts == "better")),
            "further": float(np.mean(verdicts == "worse")),
        })  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--no_result", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for setting, (number, step, predicted, in_both_roles) in SETTINGS.items():
        found = [
            replicate(number, step, predicted, seed, in_both_roles=in_both_roles)
            for seed in range(options.replicates)
        ]
        rows += rows_of(setting, found)
    report("population_power", rows, replicates=options.replicates, write=not options.no_result)


if __name__ == "__main__":
    main()
