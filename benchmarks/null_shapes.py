"""Which reference distribution gives calibrated q-values of genes whose effects have heavy tails?

    python benchmarks/null_shapes.py [--runs 20]

Genes of pure noise, whose spread is proportional to their detection; each is compared with its 100
matched genes. For each distribution of the noise and number of genes: runs with any gene at
q < 0.05, and genes found in a run, if z-scores are taken as normal, as Student's with 99 degrees of
freedom (which allows for the estimated spread alone), and by `perturbation/null_shape.py`; then the
fraction of planted drivers of 10 to 20 standard deviations that is found, of one in 300 genes and
of one in 30.
"""

import argparse
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from measure import report
from numpy import ndarray
from scipy.stats import false_discovery_control, norm, t

from bionemo.geneformer_t.false_discoveries import FDR
from bionemo.geneformer_t.perturbation.effect_tests import effect_tests
from bionemo.geneformer_t.perturbation.null_genes import plan_nulls
from bionemo.geneformer_t.perturbation.null_settings import NullSettings

Noise = Callable[[np.random.Generator, tuple[int, int]], ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "uniform": lambda rng, size: rng.uniform(-1, 1, size),
    "Laplace": lambda rng, size: rng.laplace(size=size),
    "Student, 5 degrees": lambda rng, size: rng.standard_t(5, size),
    "Student, 3 degrees": lambda rng, size: rng.standard_t(3, size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "10 % with 4 times the spread": lambda rng, size: (
        rng.standard_normal(size) * np.where(rng.random(size) < 0.1, 4, 1)
    ),
}
NUMBERS = 300, 1_000, 6_000
CELLS = 200
DRIVERS = {"one in 300": 300, "one in 30": 30}


def genes_of(
    number: int, rng: np.random.Generator
) -> tuple[Int[ndarray, " gene"], Int[ndarray, "gene null"]]:
    """How many cells hold each gene, and its matched genes."""
    detection = np.clip(rng.beta(0.7, 2, number), 0.2, 1)
    held = rng.random((CELLS, number)) < detection
    ranks = np.where(held, np.clip(rng.beta(2, 2, number), 0.01, 1), 0)
    plan = plan_nulls([(gene,) for gene in range(number)], sp.csc_array(ranks), NullSettings())
    return held.sum(axis=0), plan.nulls


def study(number: int, noise: Noise, runs: int) -> dict[str, float]:
    """All figures of one distribution and number of genes; each run is a readout."""
    rng = np.random.default_rng(0)
    cells, nulls = genes_of(number, rng)
    spread = cells[:, None] / CELLS
    effects = noise(rng, (number, runs)) * spread
    found = effect_tests(effects, cells, nulls, NullSettings())
    known = np.isfinite(found.z).all(axis=1)
    z = np.abs(found.z[known])
    row: dict[str, float] = {"tested": int(known.sum())}
    for name, q_values in (
        ("normal", _q(2 * norm.sf(z))),
        ("Student, 99 degrees", _q(2 * t.sf(z, 99))),
        ("learned", found.fdr[known]),
    ):
        counts = (q_values < FDR).sum(axis=0)
        row[f"{name}: runs with any"] = int((counts > 0).sum())
        row[f"{name}: genes in a run"] = round(float(counts.mean()), 2)
    size = float(noise(rng, (200_000, 1)).std())
    for name, every in DRIVERS.items():
        planted = rng.choice(np.flatnonzero(known), -(-int(known.sum()) // every), replace=False)
        changed = effects.copy()
        factor = 10 * (1 + rng.random((len(planted), runs)))
        changed[planted] = factor * size * spread[planted]
        again = effect_tests(changed, cells, nulls, NullSettings())
        row[f"drivers found, {name}"] = round(float((again.fdr[planted] < FDR).mean()), 2)
    return row


def _q(p_values: Float[ndarray, "gene run"]) -> Float[ndarray, "gene run"]:
    return false_discovery_control(p_values, axis=0)


def main() -> None:
    """Measure, and print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--no_result", action="store_true", help="write no dated result")
    options = parser.parse_args()
    rows = [
        {"noise": name, "genes": number, **study(number, noise, options.runs)}
        for number in NUMBERS
        for name, noise in NOISES.items()
    ]
    report("null_shapes", rows, write=not options.no_result)


if __name__ == "__main__":
    main()
