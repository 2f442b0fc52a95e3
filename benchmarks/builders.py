"""Do builders find the true direction? On simulated cells, whose time and lineage are known.

For each builder: the share of edges that lead ahead in true time, the share that stay on the true
lineage (from a cell to what its branch leads to), the share of cells with successors, and seconds.
Days are the true time cut into half units; for `overlapping` rows, after noise of 0.2 units, so
that neighboring days share many stages. The lineage cannot reach 1: branches begin alike, and a
coupling of days gives cells at the end of a short branch successors on others.
"""

import argparse
import time

import numpy as np
import pandas as pd
from measure import report

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.builders import build
from bionemo.geneformer_t.neighbors.expression_pca import expression_pca
from bionemo.geneformer_t.neighbors.optional_packages import is_installed
from bionemo.geneformer_t.simulation import Simulation, SimulationSettings, simulate

DAY, OVERLAP = 0.5, 0.2
TARGET = 0.9


def simulated_cells(num_cells: int, seed: int) -> tuple[Simulation, Cells]:
    """Simulated cells, and what a builder sees of them."""
    generator = np.random.default_rng(seed)
    simulation = simulate(SimulationSettings(num_cells=num_cells), generator)
    true_time = simulation.pseudotime
    noisy = true_time + generator.normal(0, OVERLAP, num_cells)
    half = np.where(true_time % 1 < 0.5, "early", "late")
    branch = np.array(simulation.programmes.tree.names)[simulation.branch]
    obs = pd.DataFrame(
        {
            "day": np.floor(true_time / DAY),
            "overlapping": np.floor(np.clip(noisy, 0, true_time.max()) / DAY),
            "true_time": true_time,
            "cluster": [f"{h} {b}" for h, b in zip(half, branch, strict=True)],
        },
        index=[f"cell_{i}" for i in range(num_cells)],
    )
    points = expression_pca(simulation.counts, np.ones(num_cells, dtype=bool))
    successors = simulation.successors.to_matrix()
    return simulation, Cells(obs=obs, points=points, obsp={"known": successors})


def settings_of_builders() -> dict[str, tuple[str, BuilderSettings, bool]]:
    """Label: method, settings, and whether the target of direction applies."""
    root = {"root": "early root", "cluster_key": "cluster"}
    known = {"pseudotime_key": "true_time", "cluster_key": "cluster"}
    found = {"knn": ("knn", BuilderSettings(), False)}
    for key in ("day", "overlapping"):
        for method in ("mutual", *(["ot"] if is_installed("moscot") else [])):
            settings = BuilderSettings(time_key=key, time_method=method)
            found[f"time, {key}, {method}"] = ("time", settings, True)
    found["pseudotime, true"] = ("pseudotime", BuilderSettings(**known), True)
    found["pseudotime, diffusion"] = ("pseudotime", BuilderSettings(**root), True)
    found["trajectory, PAGA, true"] = ("trajectory", BuilderSettings(**known), True)
    found["trajectory, PAGA, diffusion"] = ("trajectory", BuilderSettings(**root), True)
    if is_installed("cellrank"):
        kernels = {
            "pseudotime_kernel": root,
            "cytotrace_kernel": {"cluster_key": "cluster"},
            "realtime_kernel": {"time_key": "day", "cluster_key": "cluster"},
        }
        for kernel, more in kernels.items():
            settings = BuilderSettings(trajectory_method=kernel, **more)
            found[f"trajectory, {kernel}"] = ("trajectory", settings, kernel != "cytotrace_kernel")
    found["precomputed, known"] = ("precomputed", BuilderSettings(obsp_key="known"), True)
    return found


def scores(simulation: Simulation, graph: NeighborGraph) -> dict[str, float]:
    """How much of a graph is right."""
    rows = np.repeat(np.arange(graph.num_cells), graph.out_degree)
    true_time, branch = simulation.pseudotime, simulation.branch
    leads_to = simulation.programmes.tree.leads_to
    return {
        "ahead": float((true_time[graph.indices] > true_time[rows]).mean()),
        "on_lineage": float(leads_to[branch[rows], branch[graph.indices]].mean()),
        "mean_step": float((true_time[graph.indices] - true_time[rows]).mean()),
        "cells_with_successors": float((graph.out_degree > 0).mean()),
    }


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    simulation, cells = simulated_cells(options.cells, options.seed)
    rows = []
    for label, (method, settings, is_directed) in settings_of_builders().items():
        started = time.perf_counter()
        graph, _ = build(method, cells, settings)
        seconds = time.perf_counter() - started
        rows.append({
            "builder": label,
            **scores(simulation, graph),
            "target": TARGET if is_directed else "-",
            "edges": graph.num_edges,
            "seconds": seconds,
        })  # fmt: skip
    report("builders", rows, cells=options.cells, seed=options.seed)


if __name__ == "__main__":
    main()
