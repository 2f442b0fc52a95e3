"""Fates of pancreatic progenitors by a model, by its graph and by CellRank, with pictures.

    python benchmarks/fates_pancreas.py --real_data FOLDER [--folder DIR] [--pictures DIR]
                                        [--cellrank_python /path/to/environment/bin/python]

The model is trained by `--recipe auto` on the pseudotime graph of the training cells. Then each
chain is that of all cells: the model's transitions, the pseudotime graph, CellRank's
PseudotimeKernel, and the connectivities, which have no direction. Shown are the mean fates of the
progenitors, the cross-boundary score (of the steps between two clusters of a known lineage, the
fraction that leads forward; 0.5 is no direction), and which terminal states are found unaided.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import matplotlib as mpl
import numpy as np
import scanpy as sc
import scipy.sparse as sp
from fate_accuracy import cellrank_chain, graph_chain
from measure import report
from recipes import data_of, trained

from bionemo.geneformer_t import pl, pp, tl

NAME = "pancreas_e15_mouse"
MODEL, GRAPH, CELLRANK, NO_DIRECTION = "the model", "the graph", "CellRank", "connectivities"
TERMINAL = ["Alpha", "Beta", "Delta", "Epsilon"]
PROGENITORS = ["Ngn3 high EP", "Pre-endocrine"]
LINEAGE = [
    ("Ductal", "Ngn3 low EP"),
    ("Ngn3 low EP", "Ngn3 high EP"),
    ("Ngn3 high EP", "Pre-endocrine"),
    *(("Pre-endocrine", name) for name in TERMINAL),
]


def prepared(path: Path) -> anndata.AnnData:
    """The cells with PCA, UMAP, connectivities and diffusion pseudotime, as scanpy makes them."""
    cells = anndata.read_h5ad(path)
    some = cells.copy()
    sc.pp.normalize_total(some)
    sc.pp.log1p(some)
    sc.pp.highly_variable_genes(some, n_top_genes=2000)
    sc.pp.pca(some, n_comps=30, mask_var="highly_variable")
    sc.pp.neighbors(some, n_neighbors=30)
    sc.tl.umap(some, random_state=0)
    sc.tl.diffmap(some)
    ductal = np.flatnonzero(some.obs["cluster"] == "Ductal")
    first = some.obsm["X_diffmap"][:, 1]
    beta = first[(some.obs["cluster"] == "Beta").to_numpy()].mean()
    some.uns["iroot"] = int(ductal[np.argmax(np.abs(first[ductal] - beta))])
    sc.tl.dpt(some)
    for name in ("X_pca", "X_umap"):
        cells.obsm[name] = some.obsm[name]
    cells.obs["pseudotime"] = some.obs["dpt_pseudotime"].to_numpy()
    near = sp.csr_matrix(some.obsp["connectivities"])
    cells.obsp[NO_DIRECTION] = sp.csr_matrix(near.multiply(1 / near.sum(axis=1)))
    return cells


def chains(
    cells: anndata.AnnData, checkpoint: Path, folder: Path, cellrank: Path | None
) -> list[str]:
    """Put all chains into obsp; their names."""
    tl.transitions(cells, checkpoint, key_added=MODEL)
    pp.next_cells(cells, "pseudotime", pseudotime_key="pseudotime", key_added="graph")
    cells.obsp[GRAPH] = graph_chain(cells)
    names = [MODEL, GRAPH]
    if cellrank is not None:
        cells.obsp[CELLRANK] = cellrank_chain(cells, folder, cellrank)
        names.append(CELLRANK)
    return [*names, NO_DIRECTION]


def forward_shares(chain: sp.csr_matrix, clusters: np.ndarray) -> Mapping[str, float]:
    """The cross-boundary score of each step of the lineage."""
    found = {}
    for early, late in LINEAGE:
        ahead = chain[clusters == early][:, clusters == late].sum()
        back = chain[clusters == late][:, clusters == early].sum()
        found[f"{early} > {late}"] = float(ahead / (ahead + back)) if ahead + back else np.nan
    return found


def found_states(cells: anndata.AnnData, key: str) -> str:
    """The terminal states that the chain itself shows."""
    some = cells.copy()
    try:
        tl.fates(some, transitions_key=key, cluster_key="cluster")
    except ValueError as error:
        return f"none ({str(error).split(';')[0]})"
    return ", ".join(some.obsm["fates"])


def row_of(cells: anndata.AnnData, key: str) -> dict[str, Any]:
    """Everything about one chain."""
    tl.fates(cells, TERMINAL, transitions_key=key, cluster_key="cluster")
    fates, clusters = cells.obsm["fates"], cells.obs["cluster"].astype(str).to_numpy()
    shares = forward_shares(sp.csr_matrix(cells.obsp[key]), clusters)
    row: dict[str, Any] = {"chain": key}
    for name in PROGENITORS:
        mean = fates[clusters == name].mean()
        row[name] = " ".join(f"{fate} {mean[fate]:.2f}" for fate in TERMINAL)
    return {
        **row,
        "steps from Ductal": f"{cells.obs['fate_steps'][clusters == 'Ductal'].median():.0f}",
        "reach none": int(fates.isna().any(axis=1).sum()),
        "cross-boundary": f"{np.nanmean(list(shares.values())):.2f}",
        **{step: f"{share:.2f}" for step, share in shares.items()},
        "found": found_states(cells, key),
    }


def draw(cells: anndata.AnnData, folder: Path) -> None:
    """The pictures of docs/fates.md."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    tl.fates(cells, TERMINAL, transitions_key=MODEL, cluster_key="cluster")
    pl.fates(cells, show=False, save=folder / "fates_pancreas.png")
    pl.transitions(cells, key=MODEL, color="cluster", show=False, save=folder / "fate_steps.png")
    pl.flow(cells, "cluster", key=MODEL, show=False, save=folder / "fate_flow.png")
    pl.fate_bars(cells, "cluster", show=False, save=folder / "fate_bars.png")


def main() -> None:
    """Train, solve each chain, draw, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--cellrank_python", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    data = data_of(NAME, 1, given.real_data, folder)
    checkpoint, _ = trained(NAME, data, folder / "model", 0)
    cells = prepared(given.real_data / f"{NAME}.h5ad")
    names = chains(cells, checkpoint, folder, given.cellrank_python)
    rows = [row_of(cells, name) for name in names]
    if given.pictures is not None:
        draw(cells, given.pictures)
    for row in rows:
        print("\n".join(f"{name}: {value}" for name, value in row.items()), end="\n\n")
    report("fates_pancreas", [{"chain": row["chain"], **row} for row in rows])


if __name__ == "__main__":
    main()
