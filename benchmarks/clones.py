"""Where do cells go, beside what their clone siblings became? A truth that no graph knows.

    python benchmarks/clones.py --real_data FOLDER [--folder DIR] [--seeds 3]

Models are trained by `--recipe auto` on the graph of all days. For each cell whose clone has later
cells, the best later cells are chosen by the model as in its transitions (with canonical axes and
memory as they were fitted), by its network alone, by raw likelihood, by mutual nearest neighbors in
the next time point, by moscot's coupling where it is installed (the graph that `prepare` then
makes, and the model learns from), by distance in PCA, and at random. Shown are the fraction of
clone siblings among the best 20, and whether most of them have the fate of most of the siblings.
Intervals are over clones (jackknife), and differences are those to the nearest later cells. Models,
their graph and PCA never see the clones.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scanpy as sc
from jaxtyping import Float
from measure import report
from numpy import ndarray
from recipes import data_of, trained
from scipy.spatial.distance import cdist

from bionemo.geneformer_t import pp
from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.in_memory import BY_LAYER, anndata_source
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.evaluate.intervals import Interval, mean_interval
from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.fates.candidate_scores import CandidateScorer, ranks_to_score
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.neighbors.optional_packages import is_installed
from bionemo.geneformer_t.ragged import Ragged

NAME = "hematopoiesis_clones_mouse"
NEAREST = "nearest later cells in PCA"
NUMBER = 20
NO_FATES = ("undiff",)
Scores = Float[ndarray, "context cell"]


def by_model(checkpoint: Path, adata: anndata.AnnData, clones: Clones) -> dict[str, Scores]:
    """Scores of all cells after each cell of a clone, in three ways."""
    model = load_model(checkpoint)
    source = anndata_source(adata, None, use_raw=False, round_counts=False, options=BY_LAYER)
    with row_wise(source) as rows:
        reader = CellReader(model, rows, EmbeddingSettings.min_mapped_counts)
        cells = Ragged.of([cell for block in reader.blocks() for cell in block.rows()])
    fitted = model.transitions
    assert fitted is not None, "training fits transitions where there are validation cells"
    vocab, contexts = model.required_vocab(), cells.take(clones.cells)
    choice = fitted.choice
    axes = [model.required_axes()] if choice.axes_weight else []
    held = Candidates.of(cells, ranks_to_score(model, None, choice.num_ranks), vocab, axes)
    own = CandidateScorer(
        model, held, fitted.references,
        use_memory=choice.use_memory, axes_weight=choice.axes_weight,
    )  # fmt: skip
    alone = CandidateScorer(model, held, fitted.references, use_memory=False)
    without_axes = own.network_scores(contexts)
    return {
        "the model": without_axes + own.along_axes(contexts),
        "the network alone": alone.all_scores(contexts),
        "raw likelihood of the model": without_axes + own.log_mean,
    }


def others(adata: anndata.AnnData, clones: Clones) -> dict[str, Scores]:
    """Scores without a model."""
    points = log_pca(adata)
    found = {NEAREST: -cdist(points[clones.cells], points)}
    graphs = {"mutual nearest neighbors": "mutual"}
    if is_installed("moscot"):
        graphs["moscot's coupling"] = "ot"
    for name, method in graphs.items():
        some = adata.copy()
        some.obsm["X_pca"] = points
        pp.next_cells(some, "time", time_key="time_info", time_method=method, num_neighbors=NUMBER)
        found[name] = some.obsp["next_cell_ids"][clones.cells].toarray()
    rng = np.random.default_rng(0)
    return {**found, "chance": rng.random((len(clones.cells), adata.n_obs))}


def log_pca(adata: anndata.AnnData) -> Float[ndarray, "cell component"]:
    """The usual coordinates: 1,000 variable genes, 30 components."""
    some = adata.copy()
    sc.pp.normalize_total(some, target_sum=1e4)
    sc.pp.log1p(some)
    sc.pp.highly_variable_genes(some, n_top_genes=1000)
    sc.pp.pca(some, n_comps=30, mask_var="highly_variable")
    points: ndarray = some.obsm["X_pca"]
    return points


def measured(clones: Clones, scores: list[Scores]) -> dict[str, ndarray]:
    """Measures of each cell, means over several scores such as those of several seeds."""
    rng = np.random.default_rng(0)
    chosen = [clones.highest(one, NUMBER, rng) for one in scores]
    return {
        "siblings": np.mean([clones.sibling_share(one) for one in chosen], axis=0),
        "fate right": np.mean([clones.fate_is_right(one) for one in chosen], axis=0),
        "probability": np.mean([clones.probability_of_fate(one) for one in chosen], axis=0),
    }


def over_clones(values: ndarray, clones: Clones) -> Interval:
    """The mean over cells with its interval over clones."""
    known = np.isfinite(values)
    units = Units.of_cells(np.arange(known.sum()), clones.of_cell[known])
    return mean_interval(values[known], [np.zeros(0) for _ in units.levels], units)


def _shown(found: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{found.mean:{sign}.4f} ({found.low:.4f} to {found.high:.4f})"


def table(clones: Clones, scores: Mapping[str, list[Scores]]) -> list[dict[str, Any]]:
    """One row for each way to choose."""
    of_each = {name: measured(clones, some) for name, some in scores.items()}
    return [
        {
            "by": name,
            **{what: _shown(over_clones(values, clones)) for what, values in found.items()},
            **{
                f"{what} - nearest": "-"
                if name == NEAREST
                else _shown(over_clones(values - of_each[NEAREST][what], clones), signed=True)
                for what, values in found.items()
            },
        }
        for name, found in of_each.items()
    ]


def main() -> None:
    """Train, choose later cells in all ways, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    adata = anndata.read_h5ad(given.real_data / f"{NAME}.h5ad")
    clones = Clones.of(
        adata.obsm["X_clone"],
        adata.obs["time_info"].astype(float).to_numpy(),
        adata.obs["state_info"].astype(str).to_numpy(),
        NO_FATES,
    )
    data = data_of(NAME, 1, given.real_data, folder)
    scores: dict[str, list[Scores]] = {}
    for seed in range(given.seeds):
        checkpoint, _ = trained(NAME, data, folder / f"seed{seed}", seed)
        for name, one in by_model(checkpoint, adata, clones).items():
            scores.setdefault(name, []).append(one)
    for name, one in others(adata, clones).items():
        scores[name] = [one]
    counts = {
        "cells": len(clones.cells),
        "with_fate": int((clones.fates != "").sum()),
        "clones": len(np.unique(clones.of_cell)),
        "seeds": given.seeds,
    }
    print(counts)
    report("clones", table(clones, scores), **counts)


if __name__ == "__main__":
    main()
