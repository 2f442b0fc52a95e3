"""Fate probabilities beside the truth: simulated cells whose switch genes decide at each fork.

    python benchmarks/fate_accuracy.py [--cellrank_python /path/to/environment/bin/python]
                                       [--folder DIR] [--seeds 1] [--settings usual deep]

Models are trained by `--recipe auto` on the training cells. Transitions are those among all cells,
terminal are the last tenth of each branch that does not fork, and the correlation with the true
probability (Pearson, of all fates together) is that of all test cells, of those that are not
terminal, and of those before the first fork, where only the switch genes tell. Beside the model
stand the simulator's graph, CellRank's PseudotimeKernel (which is given the true pseudotime), and
a ridge regression on the true probabilities of the training cells: what counts tell of them, as far
as it is linear. Differences are those to CellRank, with 95 % intervals of a bootstrap over cells.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scanpy as sc
import scipy.sparse as sp
from jaxtyping import Bool, Float
from measure import report
from numpy import ndarray
from recipes import trained

from bionemo.geneformer_t import tl
from bionemo.geneformer_t.data.folder import SPLITS
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.run.simulate import simulate

KERNEL = Path(__file__).parent / "cellrank_kernel.py"
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "usual": {"num_cells": 2000, "num_switch_genes": 4},
    "deep": {
        "num_cells": 2000, "num_switch_genes": 12, "switch_effect": 1.0, "counts_per_cell": 10_000,
    },
    "big": {
        "num_cells": 5000, "num_genes": 150, "counts_per_cell": 3000.0, "num_switch_genes": 4,
        "switch_effect": 1.5, "switch_strength": 3.0,
    },
}  # fmt: skip
"""Name -> settings of `simulate`."""
MODEL, GRAPH, CELLRANK, RIDGE = "the model", "the graph", "CellRank", "ridge on the truth"
TERMINAL_FROM = 0.9
"""Quantile of the pseudotime of a branch from which its cells are terminal."""
DRAWS = 2000
Probabilities = Float[ndarray, "cell fate"]


def joined(data: Path) -> tuple[anndata.AnnData, Bool[ndarray, " cell"]]:
    """The cells of all splits, and which are test cells."""
    parts = [anndata.read_h5ad(data / split / "data.h5ad") for split in SPLITS]
    cells = anndata.concat(parts, merge="same", index_unique=None)
    cells.obsp["graph"] = sp.block_diag([part.obsp["next_cell_ids"] for part in parts], "csr")
    is_test = np.repeat([split == "test" for split in SPLITS], [part.n_obs for part in parts])
    fates = cells.obsm["true_fates"].columns
    branch, when = cells.obs["branch"].astype(str), cells.obs["pseudotime"]
    last = when >= when.groupby(branch).transform("quantile", TERMINAL_FROM)
    cells.obs["end"] = branch.where(last & branch.isin(fates))
    return cells, is_test


def fates_by(cells: anndata.AnnData, key: str) -> Probabilities:
    """Probabilities of the fates in the order of the true ones; NaN where none is reached."""
    names = list(cells.obsm["true_fates"].columns)
    tl.fates(cells, names, transitions_key=key, cluster_key="end")
    found: ndarray = cells.obsm["fates"][names].to_numpy()
    return found


def graph_chain(cells: anndata.AnnData) -> sp.csr_matrix:
    """The graph as transitions; cells without successors stay where they are."""
    graph, _ = NeighborGraph.from_matrix(cells.obsp["graph"])
    chain = sp.csr_matrix(
        (graph.probabilities, graph.indices, graph.indptr), shape=cells.obsp["graph"].shape
    )
    stays = sp.diags_array((graph.out_degree == 0).astype(np.float64))
    return sp.csr_matrix(chain + stays)


def cellrank_chain(cells: anndata.AnnData, folder: Path, python: Path) -> sp.csr_matrix:
    """CellRank's transitions of cells with raw counts and a pseudotime, by another environment."""
    given, made = folder / "cells.h5ad", folder / "cellrank.npz"
    plain = anndata.AnnData(cells.X, obs=cells.obs[["pseudotime"]], var=cells.var[[]])
    plain.write_h5ad(given)
    subprocess.run([python, KERNEL, given, made], check=True)
    return sp.csr_matrix(sp.load_npz(made))


def by_ridge(cells: anndata.AnnData, is_test: Bool[ndarray, " cell"]) -> Probabilities:
    """The truth as a linear function of log-normalised counts, learned without the test cells."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    some = cells.copy()
    sc.pp.normalize_total(some)
    sc.pp.log1p(some)
    counts = StandardScaler().fit_transform(np.asarray(some.X.todense()))
    truth = cells.obsm["true_fates"].to_numpy()
    model = RidgeCV(np.logspace(0, 5, 11)).fit(counts[~is_test], truth[~is_test])
    found: ndarray = model.predict(counts)
    return found


def pearson(one: Probabilities, other: Probabilities) -> float:
    """Of all fates together."""
    known = np.isfinite(one).all(axis=1)
    return float(np.corrcoef(one[known].ravel(), other[known].ravel())[0, 1])


def beside(mine: Probabilities, theirs: Probabilities, truth: Probabilities) -> tuple[float, float]:
    """The 95 % interval of the difference of two correlations with the truth."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        some = rng.integers(len(truth), size=len(truth))
        found.append(pearson(mine[some], truth[some]) - pearson(theirs[some], truth[some]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def one_run(name: str, seed: int, folder: Path, cellrank: Path | None) -> list[dict[str, Any]]:
    """All rows of one simulation."""
    data = simulate(output_dir=folder / "data", seed=seed, **SETTINGS[name])
    checkpoint, _ = trained("simulated_fates", data, folder / "model", seed)
    cells, is_test = joined(data)
    tl.transitions(cells, checkpoint)
    cells.obsp["graph"] = graph_chain(cells)
    found = {MODEL: fates_by(cells, "T_geneformer_t"), GRAPH: fates_by(cells, "graph")}
    if cellrank is not None:
        cells.obsp["cellrank"] = cellrank_chain(cells, folder, cellrank)
        found[CELLRANK] = fates_by(cells, "cellrank")
    found[RIDGE] = by_ridge(cells, is_test)
    truth = cells.obsm["true_fates"].to_numpy()
    scored = is_test & cells.obs["end"].isna().to_numpy()
    root = scored & (cells.obs["branch"] == "root").to_numpy()
    rows = []
    for row, values in found.items():
        shown: dict[str, Any] = {"simulation": name, "seed": seed, "fates by": row}
        for where, which in (("all", is_test), ("not terminal", scored), ("root", root)):
            shown[where] = f"{pearson(values[which], truth[which]):.3f}"
            gain = "-"
            if CELLRANK in found and row != CELLRANK:
                low, high = beside(values[which], found[CELLRANK][which], truth[which])
                gain = f"{low:+.3f} to {high:+.3f}"
            shown[f"{where} - CellRank"] = gain
        rows.append({**shown, "reach none": int((~np.isfinite(values[scored])).any(axis=1).sum())})
    return rows


def main() -> None:
    """Simulate, train, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cellrank_python", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    rows = [
        row
        for name in given.settings
        for seed in range(given.seeds)
        for row in one_run(name, seed, folder / f"{name}{seed}", given.cellrank_python)
    ]
    report("fate_accuracy", rows)


if __name__ == "__main__":
    main()
