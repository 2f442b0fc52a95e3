"""How much does a screen find with models that know no graph?

    python benchmarks/perturbation_controls.py --folder DIR [--cells 60] [--sets ...]

DIR is the folder of `benchmarks/recipes.py`, which trained models of several seeds and, beside each
of them, one on shuffled successors. For every one, all genes are deleted in some cells, by the
model, by its control and by random weights. Fates are those of the model's own transitions, to the
last cells of each branch or to the terminal clusters. The share of discoveries at q < 0.05 of a
control should be at most 0.05; the last rows count over all runs.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from measure import report
from recipes import trained

from bionemo.geneformer_t import tl
from bionemo.geneformer_t.data.folder import SPLITS
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.controls import random_weights

TERMINAL: Mapping[str, tuple[str, list[str], list[str]]] = {
    "simulated_250": ("end", ["A1", "A2", "B"], []),
    "simulated_800": ("end", ["A1", "A2", "B"], []),
    "pancreas_e15_mouse": ("cluster", ["Alpha", "Beta", "Delta", "Epsilon"], ["Ngn3 high EP"]),
    "hematopoiesis_clones_mouse": ("state_info", ["Monocyte", "Neutrophil", "Baso"], []),
}  # fmt: skip
"""Set -> column of obs, terminal clusters, and the clusters whose cells are edited (all others)."""
LEVEL = 0.05
LAST = 0.85
"""Quantile of a branch's pseudotime from which simulated cells are terminal."""


def cells_of(name: str, data: Path) -> anndata.AnnData:
    """The cells of all splits."""
    parts = [anndata.read_h5ad(data / split / "data.h5ad") for split in SPLITS]
    cells = anndata.concat(parts, merge="same")
    if name.startswith("simulated"):
        branch, when = cells.obs["branch"].astype(str), cells.obs["pseudotime"]
        last = when >= when.groupby(branch).transform("quantile", LAST)
        cells.obs["end"] = branch.where(last, "before")
    return cells


def screens(name: str, folder: Path, seed: int, most: int) -> Iterator[dict[str, Any]]:
    """What each model finds."""
    data = folder / name / "split1"
    run = folder / name / f"split1-seed{seed}"
    path, _ = trained(name, data, run / "model", seed)
    model = load_model(path)
    cells = cells_of(name, data)
    key, ends, clusters = TERMINAL[name]
    tl.transitions(cells, model)
    tl.fates(cells, ends, cluster_key=key)
    labels = cells.obs[key].astype(str)
    chosen = (labels.isin(clusters) if clusters else ~labels.isin(ends)).to_numpy()
    chosen[np.random.default_rng(seed).permutation(np.flatnonzero(chosen))[most:]] = False
    cells.obs["edited"] = np.where(chosen, "yes", "no")
    controls = {
        "shuffled": load_model(trained(name, data, run / "shuffled", seed)[0]),
        "random": random_weights(model, seed),
    }
    table = tl.perturb(cells, model, cluster_key="edited", clusters="yes", controls=controls)
    for who in ("model", *controls):
        column = "fdr" if who == "model" else f"{who}_fdr"
        tested = table[table["fdr"].notna() & table["readout"].str.startswith("fate ")]
        found = int((tested[column] < LEVEL).sum())
        yield {
            "set": name, "seed": seed, "who": who, "cells": int(chosen.sum()),
            "tests": len(tested), "found": found, "share": found / max(len(tested), 1),
        }  # fmt: skip


def totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By model, over all runs."""
    table = pd.DataFrame(rows)
    return [
        {
            "set": "all", "who": str(who), "runs": len(own), "share": float(own["share"].mean()),
            "largest share": float(own["share"].max()),
            f"runs above {LEVEL:g}": int((own["share"] > LEVEL).sum()),
            "runs with any": int((own["found"] > 0).sum()),
        }
        for who, own in table.groupby("who", sort=False)
    ]  # fmt: skip


def main() -> None:
    """Print a row for each screen, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=TERMINAL, default=list(TERMINAL))
    parser.add_argument("--cells", type=int, default=60, help="cells that are edited, at most")
    options = parser.parse_args()
    rows = []
    for name in options.sets:
        found = sorted((options.folder / name).glob("split1-seed*/run.json"))
        for path in found:
            for row in screens(name, options.folder, int(path.parent.name[-1]), options.cells):
                rows.append(row)
                print(*row.values(), flush=True)
    report("perturbation_controls", [*rows, *totals(rows)], rows, edited_cells=options.cells)


if __name__ == "__main__":
    main()
