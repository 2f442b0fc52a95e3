"""Search for nearest cells: recall and CPU seconds of ours and of libraries, by number of cells.

    python benchmarks/neighbors.py [--cells 10000 100000] [--queries 20000] [--data cells.h5ad]

Each row searches the 20 nearest of so many cells for queries of the same kind, as a builder does
for two time points. Coordinates are 30 principal axes:

* `simulated`: cells of `prepare_memory.py`, mostly noise without structure in the later axes, which
  is the harder case;
* `real`: cells of an .h5ad, of which new ones are made between a cell and one of its neighbors,
  with noise as large as a third of their distance.

faiss, hnswlib and usearch are measured where they are installed. One thread each.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scipy.sparse as sp
from measure import report
from prepare_memory import NUM_DAYS, NUM_GENES, ROWS
from threadpoolctl import threadpool_limits

from bionemo.geneformer_t.neighbors.expression_pca import expression_pca
from bionemo.geneformer_t.neighbors.nearest import nearest_others
from bionemo.geneformer_t.neighbors.optional_packages import is_installed
from bionemo.geneformer_t.neighbors.partitioned_search import nearest_in_lists

NUMBER = 20
"""Neighbors: what mutual nearest neighbors ask for by default."""
TRUTHS = 1000
"""Queries whose recall is measured."""

Search = Callable[[np.ndarray, np.ndarray], np.ndarray]


def simulated_points(number: int) -> np.ndarray:
    """Principal axes of the simulated cells of `prepare_memory.py`, in random order."""
    rng = np.random.default_rng(0)
    level, drift = rng.lognormal(-2.6, 1.3, NUM_GENES), rng.normal(0, 0.25, NUM_GENES)
    blocks = []
    for start in range(0, number, ROWS):
        days = rng.integers(0, NUM_DAYS, (min(ROWS, number - start), 1))
        mean = level * np.exp(drift * days) * rng.gamma(5, 0.2, (len(days), 1))
        blocks.append(sp.csr_array(rng.poisson(mean).astype(np.float32)))
    fit_on = np.arange(number) < 20_000
    return expression_pca(sp.vstack(blocks).tocsr(), fit_on)


def real_points(path: Path, number: int) -> np.ndarray:
    """Cells between real cells and their neighbors, with noise."""
    counts = sp.csr_array(anndata.read_h5ad(path).X)
    points = expression_pca(counts, np.ones(counts.shape[0], dtype=bool))
    near, far = nearest_others(points, 10)
    rng = np.random.default_rng(0)
    cells = rng.integers(0, len(points), number)
    others = near[cells, rng.integers(0, 10, number)]
    steps = rng.random((number, 1)) * (points[others] - points[cells])
    spread = far[cells].mean(axis=1, keepdims=True) / 3 / np.sqrt(points.shape[1])
    noise = rng.normal(size=steps.shape) * spread
    return np.asarray(points[cells] + steps + noise, dtype=np.float32)


def exact(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """scikit-learn's brute force."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=NUMBER, algorithm="brute").fit(points)
    return search.kneighbors(queries, return_distance=False)


def by_pynndescent(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What was used before, compiled already."""
    from pynndescent import NNDescent

    index = NNDescent(points, n_neighbors=NUMBER, random_state=0, n_jobs=1)
    return index.query(queries, k=NUMBER)[0]


def by_faiss(recipe: str, probes: int) -> Search:
    """An index of faiss by its name."""

    def search(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.index_factory(points.shape[1], recipe)
        index.train(points)
        index.add(points)
        if probes:
            index.nprobe = probes
        return index.search(queries, NUMBER)[1]

    return search


def by_hnswlib(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """One thread, as its graph depends on their number."""
    import hnswlib

    index = hnswlib.Index("l2", points.shape[1])
    index.init_index(len(points), M=16, ef_construction=100, random_seed=0)
    index.set_num_threads(1)
    index.add_items(points)
    index.set_ef(80)
    return index.knn_query(queries, NUMBER)[0]


def by_usearch(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same in usearch."""
    from usearch.index import Index

    index = Index(
        ndim=points.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=100,
        expansion_search=80,
    )  # fmt: skip
    index.add(np.arange(len(points)), points, threads=1)
    return index.search(queries, NUMBER, threads=1).keys.astype(np.int64)


def searches(number: int, wanted: list[str]) -> dict[str, Search]:
    """All that are installed and wanted, by name."""
    found: dict[str, Search] = {
        "exact": exact,
        "lists (ours)": lambda queries, points: nearest_in_lists(queries, points, NUMBER)[0],
        "pynndescent": by_pynndescent,
    }
    if is_installed("faiss"):
        lists = 2 ** round(np.log2(np.sqrt(number)))
        for part in (32, 16, 8):
            recipe = f"IVF{lists},Flat"
            found[f"faiss {recipe} nprobe {lists // part}"] = by_faiss(recipe, lists // part)
        found["faiss HNSW16"] = by_faiss("HNSW16", 0)
    if is_installed("hnswlib"):
        found["hnswlib"] = by_hnswlib
    if is_installed("usearch"):
        found["usearch"] = by_usearch
    return {
        name: search
        for name, search in found.items()
        if not wanted or any(name.startswith(word) for word in wanted)
    }


def rows_of(
    kind: str, points: np.ndarray, queries: np.ndarray, wanted: list[str]
) -> list[dict[str, Any]]:
    """One row for each search."""
    sample = np.linspace(0, len(queries) - 1, TRUTHS).astype(int)
    truth = exact(queries[sample], points)
    rows = []
    for name, search in searches(len(points), wanted).items():
        if name == "pynndescent":
            search(queries[:100], points[:2000])
        started = time.process_time()
        found = search(queries, points)
        seconds = time.process_time() - started
        hits = [np.isin(a, b).mean() for a, b in zip(truth, found[sample], strict=True)]
        rows.append(
            {
                "coordinates": kind,
                "cells": len(points),
                "queries": len(queries),
                "search": name,
                "CPU s": seconds,
                "recall": float(np.mean(hits)),
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--data", type=Path, help=".h5ad for the real cells")
    parser.add_argument("--searches", nargs="*", default=[], help="first words of their names")
    options = parser.parse_args()
    rows = []
    with threadpool_limits(1):
        for number in options.cells:
            every = number + options.queries
            kinds = {"simulated": lambda number=every: simulated_points(number)}
            if options.data is not None:
                kinds["real"] = lambda number=every: real_points(options.data, number)
            for kind, make in kinds.items():
                points = make()
                queries, points = points[number:], points[:number]
                rows += rows_of(kind, points, queries, options.searches)
    report("neighbors", rows)


if __name__ == "__main__":
    main()
