"""Are the driver genes of known fates found, and only these?

    python benchmarks/drivers.py [--replicates 5] [--null_replicates 200] [--cells 3000]

`simulate_fates` says which genes decide. Each replicate draws genes, cells and donors anew. Tested
are true fate probabilities, and fates computed from a graph of nearest cells at the next time
point, made of the same counts or of the other half of them (each count is divided by a coin).
Beside `drivers` is what most tools do: the correlation of normalised expression with the fate over
all cells, with the p-value of its t statistic. The null has true fates permuted among the cells of
a cluster (and donor), and switch genes that show nothing of what they decide.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float
from measure import report
from numpy import ndarray
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from bionemo.geneformer_t.pp import next_cells
from bionemo.geneformer_t.run.simulate import to_anndata
from bionemo.geneformer_t.simulated_fates import FateSettings, FateSimulation, simulate_fates
from bionemo.geneformer_t.tl import drivers

LEVELS = (0.05, 0.1)
CLUSTERS = ("branch", "time_point")
NULL = FateSettings(num_cells=1000, num_genes=200, num_switch_genes=2)
"""Smaller, so that 200 replicates take minutes."""
NULL_PERMUTATIONS, PERMUTATIONS = 16_000, 36_000
"""With so many, one gene of all can be called alone, and more make no difference."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Which genes a method calls at a level, of which fate."""

    fdr: Float[ndarray, "fate gene"]
    effect: Float[ndarray, "fate gene"]

    @classmethod
    def of_table(cls, table: pd.DataFrame, cells: anndata.AnnData) -> "Calls":
        """The rows of `gft.tl.drivers`."""
        fates = cells.obsm["true_fates"].columns
        wide = table.pivot_table(index="fate", columns="gene", values=["fdr", "effect"])
        grid = {
            name: wide[name].reindex(index=fates, columns=cells.var_names).to_numpy()
            for name in ("fdr", "effect")
        }
        return cls(**grid)

    def score(self, truth: Float[ndarray, "fate gene"], level: float) -> dict[str, float]:
        """Recall among true drivers (with the right sign), false calls, and all calls."""
        called = self.fdr <= level
        right = called & (truth != 0) & (np.sign(self.effect) == truth)
        return {
            "recall": right.sum() / max((truth != 0).sum(), 1),
            "calls": int(called.sum()),
            "false": int((called & ~right).sum()),
        }


def with_drivers(**options: Any) -> Callable[[anndata.AnnData], Calls]:
    """`gft.tl.drivers` with these options."""
    return lambda cells: Calls.of_table(drivers(cells, **options), cells)


def correlation(cells: anndata.AnnData) -> Calls:
    """Pearson correlation over all cells that have not reached a fate, and its t-test."""
    fates = cells.obsm["fates"].to_numpy()
    chosen = np.isfinite(fates).all(axis=1) & (fates.max(axis=1) < 1 - 1e-9)
    counts = sp.csr_array(cells.X[chosen]).toarray().astype(np.float64)
    values = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    values -= values.mean(axis=0)
    centred = fates[chosen] - fates[chosen].mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)[:, None] * np.linalg.norm(values, axis=0)
    r = centred.T @ values / np.maximum(norms, 1e-12)
    freedom = chosen.sum() - 2
    p = 2 * student.sf(np.abs(r) * np.sqrt(freedom / (1 - r * r)), freedom)
    return Calls(fdr=false_discovery_control(p.ravel()).reshape(p.shape), effect=r)


def true_fates(cells: anndata.AnnData, _: np.random.Generator) -> None:
    """The probabilities that the simulator knows."""
    cells.obsm["fates"] = cells.obsm["true_fates"]


def graph_fates(cells: anndata.AnnData, _: np.random.Generator) -> None:
    """Absorption in the graph of nearest cells at the next time point, of the same counts."""
    cells.obsm["fates"] = absorption(cells, cells)


def half_fates(cells: anndata.AnnData, rng: np.random.Generator) -> None:
    """The same of half of the counts; the other half is left for the test."""
    counts = sp.csr_matrix(cells.X)
    first = counts.copy()
    first.data = rng.binomial(counts.data.astype(np.int64), 0.5).astype(np.float32)
    half = cells.copy()
    half.X = first
    cells.obsm["fates"] = absorption(cells, half)
    rest = counts - first
    rest.eliminate_zeros()
    cells.X = rest


def absorption(cells: anndata.AnnData, source: anndata.AnnData) -> pd.DataFrame:
    """Fates of all cells by a graph of `source`; terminal are the leaves at the last time point."""
    graph = next_cells(source, method="time", time_key="time_point", copy=True)
    matrix = sp.csr_array(graph.obsp["next_cell_ids"])
    fates = cells.obsm["true_fates"]
    is_last = (cells.obs["time_point"] == cells.obs["time_point"].max()).to_numpy()
    ends = is_last[:, None] * fates.to_numpy()
    total = matrix.sum(axis=1)
    leads = (total > 0) & ~is_last
    rows = sp.csr_array(sp.diags_array(np.where(leads, 1 / np.maximum(total, 1e-300), 0)) @ matrix)
    found = ends
    for _ in range(cells.obs["time_point"].nunique()):  # each step leads to the next time point
        found = ends + rows @ found
    found[found.sum(axis=1) < 1 - 1e-6] = np.nan  # some of its walks end before the last time
    found = np.clip(found, 0, 1)
    return pd.DataFrame(found, index=cells.obs_names, columns=fates.columns)


SOURCES = {"true": true_fates, "graph of the same counts": graph_fates,
           "graph of other counts": half_fates}  # fmt: skip


CASES = [*((0, source) for source in SOURCES), (6, "true"), *((10, source) for source in SOURCES)]
"""Numbers of donors, and sources of the fates."""


def power(settings: FateSettings, replicates: int) -> Iterator[dict[str, Any]]:
    """Recall and false discovery proportions."""
    for donors, source in CASES:
        key: dict[str, Any] = {"max_permutations": PERMUTATIONS}
        if donors:
            key["donor_key"] = "donor"
        methods = {
            "correlation of all cells": correlation,
            "drivers, by branch": with_drivers(cluster_key="branch", **key),
            "drivers, by branch and time": with_drivers(cluster_key=CLUSTERS, **key),
        }
        found: dict[tuple[str, float], list[dict[str, float]]] = {}
        started, fit = time.perf_counter(), []
        for seed in range(replicates):
            simulated = simulate_fates(
                replace(settings, num_donors=donors), np.random.default_rng(seed)
            )
            cells, truth = prepared(simulated, source, seed)
            fit.append(agreement(cells))
            for name, method in methods.items():
                calls = method(cells)
                for level in LEVELS:
                    found.setdefault((name, level), []).append(calls.score(truth, level))
        for (name, level), scores in found.items():
            table = pd.DataFrame(scores)
            yield {
                "fates": source, "r with true": float(np.mean(fit)), "donors": donors,
                "method": name, "FDR": level,
                "recall": table["recall"].mean(), "least recall": table["recall"].min(),
                "false": (table["false"] / table["calls"].clip(lower=1)).mean(),
                "calls": table["calls"].mean(),
            }  # fmt: skip
        print(f"{source}, {donors} donors: {time.perf_counter() - started:.0f} s", flush=True)


def null(replicates: int) -> Iterator[dict[str, Any]]:
    """How often anything is called where nothing is to be found."""
    for donors in (0, 6):
        key = {"donor_key": "donor"} if donors else {}
        settings = replace(NULL, num_donors=donors)
        test = with_drivers(cluster_key="branch", max_permutations=NULL_PERMUTATIONS, **key)
        simulated = simulate_fates(settings, np.random.default_rng(0))
        cells, _ = prepared(simulated, "true", 0)
        groups = cells.obs["branch"].astype(str)
        if donors:
            groups = groups + cells.obs["donor"].astype(str)
        permuted, silent, usual, started = [], [], [], time.perf_counter()
        for seed in range(replicates):
            rng = np.random.default_rng([1, seed])
            order = np.arange(cells.n_obs)
            for group in groups.unique():
                members = np.flatnonzero(groups == group)
                order[members] = rng.permutation(members)
            cells.obsm["fates"] = pd.DataFrame(
                simulated.true_fates[order], index=cells.obs_names,
                columns=cells.obsm["true_fates"].columns,
            )  # fmt: skip
            permuted.append(anything(test(cells)))
            quiet = simulate_fates(replace(settings, switch_effect=0.0), rng)
            other, _ = prepared(quiet, "true", seed)
            silent.append(anything(test(other)))
            usual.append(anything(correlation(other)))
        for name, hits in (
            ("drivers, fates permuted", permuted),
            ("drivers, silent switch genes", silent),
            ("correlation of all cells, silent switch genes", usual),
        ):
            yield {
                "donors": donors, "null": name, "replicates": replicates,
                **{
                    f"any at {level:g}": float(np.mean([hit[level] for hit in hits]))
                    for level in LEVELS
                },
            }  # fmt: skip
        print(f"null, {donors} donors: {time.perf_counter() - started:.0f} s", flush=True)


def anything(calls: Calls) -> dict[float, Bool[ndarray, ""]]:
    """Whether any gene is called at each level."""
    return {level: (calls.fdr <= level).any() for level in LEVELS}


def prepared(
    simulated: FateSimulation, source: str, seed: int
) -> tuple[anndata.AnnData, Float[ndarray, "fate gene"]]:
    """Cells with fates, and what each gene does to each fate."""
    cells = to_anndata(simulated)
    SOURCES[source](cells, np.random.default_rng([2, seed]))
    leaves = simulated.switches.leaves
    truth = np.array([simulated.switches.drives(leaf, cells.n_vars) for leaf in leaves])
    return cells, truth.astype(np.float64)


def agreement(cells: anndata.AnnData) -> float:
    """Correlation of the fates with the true ones in cells before their last fork."""
    true, found = cells.obsm["true_fates"].to_numpy(), cells.obsm["fates"].to_numpy()
    chosen = (true.max(axis=1) < 1) & np.isfinite(found).all(axis=1)
    return float(np.corrcoef(true[chosen].ravel(), found[chosen].ravel())[0, 1])


def main() -> None:
    """Measure, and print the tables and their JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--null_replicates", type=int, default=200)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--no_result", action="store_true", help="write no dated result")
    options = parser.parse_args()
    settings = FateSettings(num_cells=options.cells, num_switch_genes=4)
    write = not options.no_result
    if options.null_replicates:
        report("drivers-null", list(null(options.null_replicates)), write=write)
    if options.replicates:
        rows = list(power(settings, options.replicates))
        report("drivers", rows, write=write, replicates=options.replicates, cells=options.cells)


if __name__ == "__main__":
    main()
