"""Do knock-outs in a model move the fates as knock-outs in the simulator do?

    python benchmarks/perturbation_truth.py [--folder DIR] [--settings usual deep big]
                                            [--seeds 1] [--cells 300]

Simulated cells whose switch genes decide at each fork; `FateSimulation.without` computes the true
fates of the same cells with a gene knocked out. A model is trained by `--recipe auto`, and every
gene is deleted in cells that stand before a fork whose switch state is drawn. Drivers of a fate are
the switch genes of these forks. For each fate:

* AUROC: how well |z| (beside matched genes) tells drivers from genes that drive nothing;
* signs: of the drivers' effects, how many have the sign of the simulator's knock-out, or for `up`
  the opposite;
* knock-outs: correlation, over the switch genes, of the model's effects with the true changes.

Beside the effects stand those of a ridge regression and the correlation with the fate, which are in
the table of `gft.tl.perturb`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from fate_accuracy import SETTINGS, joined
from measure import report
from recipes import trained
from sklearn.metrics import roc_auc_score

from bionemo.geneformer_t import tl
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.simulated_fates import FateSettings, FateSimulation, simulate_fates

SCORES = {"perturbation": "effect", "ridge": "ridge_effect", "correlation": "correlation"}
"""Row -> column of the table; all have the sign of the edit."""


def before_forks(cells: anndata.AnnData, simulation: FateSimulation) -> np.ndarray:
    """Whether each cell stands before a fork whose switch state is drawn, and is not at an end."""
    number = cells.obs_names.str.removeprefix("cell_").astype(int)
    ahead = ~np.isin(simulation.branch, simulation.switches.leaves) & simulation.is_decided
    return ahead[number] & cells.obs["end"].isna().to_numpy()


def rows_of(
    table: pd.DataFrame, cells: anndata.AnnData, simulation: FateSimulation, chosen: np.ndarray
) -> list[dict[str, Any]]:
    """Scores of each way to rank genes, by fate."""
    number = cells.obs_names.str.removeprefix("cell_").astype(int)[chosen]
    names, switches = simulation.programmes.tree.names, simulation.switches
    gene_of = {gene: place for place, gene in enumerate(simulation.gene_ids)}
    truth = {
        gene: (simulation.without(gene).true_fates - simulation.true_fates)[number].mean(axis=0)
        for gene in switches.genes.tolist()
    }
    found = []
    for score, column in SCORES.items():
        if column not in table:
            continue
        auroc, signs, knocked = [], [], []
        for place, leaf in enumerate(switches.leaves):
            of_fate = table[(table["readout"] == f"fate {names[leaf]}") & table["z"].notna()]
            genes = of_fate["target"].map(gene_of).to_numpy()
            drives = switches.drives(leaf, len(simulation.gene_ids))[genes]
            is_switch = np.isin(genes, switches.genes)
            values = of_fate[column].to_numpy()
            strength = np.abs(of_fate["z"] if score == "perturbation" else values)
            compared = (drives != 0) | ~is_switch
            auroc.append(roc_auc_score(drives[compared] != 0, strength[compared]))
            # more of a gene does the opposite of a knock-out
            effects = -values if str(table["edit"].iloc[0]).startswith("up") else values
            true = np.array([truth[gene][place] for gene in genes[is_switch].tolist()])
            moved = np.abs(true) > 1e-9
            signs.append((np.sign(effects[is_switch][moved]) == np.sign(true[moved])).mean())
            knocked.append(np.corrcoef(effects[is_switch], true)[0, 1])
        found.append(
            {
                "genes ranked by": score,
                "AUROC": np.round(auroc, 3).tolist(),
                "signs right": np.round(signs, 3).tolist(),
                "r with knock-outs": np.round(knocked, 3).tolist(),
            }
        )
    return found


def one_run(
    name: str, seed: int, folder: Path, most: int, edits: list[str]
) -> list[dict[str, Any]]:
    """All rows of one simulation."""
    given = SETTINGS[name]
    data = folder / "data"
    if not data.exists():
        simulate(output_dir=data, seed=seed, **given)
    simulation = simulate_fates(FateSettings(**given), np.random.default_rng(seed))
    checkpoint, _ = trained("simulated_fates", data, folder / "model", seed)
    cells, is_test = joined(data)
    tl.transitions(cells, checkpoint)
    tl.fates(cells, list(cells.obsm["true_fates"].columns), cluster_key="end")
    chosen = before_forks(cells, simulation)
    chosen[np.random.default_rng(0).permutation(np.flatnonzero(chosen))[most:]] = False
    cells.obs["before a fork"] = np.where(chosen, "yes", "no")
    rows = []
    for edit in edits:
        table = tl.perturb(
            cells, checkpoint, edit=edit, cluster_key="before a fork", clusters="yes"
        )
        table.to_csv(folder / f"effects-{edit.replace(':', '-')}.csv", index=False)
        shown = {
            "simulation": name, "seed": seed, "edit": edit, "cells": int(chosen.sum()),
            "test cells": int((chosen & is_test).sum()),
            "found": int((table["fdr"] < 0.05).sum()),
        }  # fmt: skip
        rows += [{**shown, **row} for row in rows_of(table, cells, simulation, chosen)]
    return rows


def main() -> None:
    """Print a row for each simulation and way to rank, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--edits", nargs="+", default=["delete", "down:20", "up:20"])
    parser.add_argument("--cells", type=int, default=300, help="cells that are edited, at most")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    rows = [
        row
        for name in options.settings
        for seed in range(options.seeds)
        for row in one_run(name, seed, folder / f"{name}{seed}", options.cells, options.edits)
    ]
    report("perturbation_truth", rows, edited_cells=options.cells)


if __name__ == "__main__":
    main()
