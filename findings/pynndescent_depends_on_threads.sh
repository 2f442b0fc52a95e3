#!/usr/bin/env bash
# pynndescent 0.7.0: the same data, parameters and `random_state` give other neighbors with another
# number of threads.
#
# Candidates are drawn and updated thread by thread, so the graph depends on NUMBA_NUM_THREADS (the
# number of cores unless it is set) although `random_state` is fixed. `n_jobs=1` gives one and the same
# graph under any of them; scanpy and umap-learn leave `n_jobs` open.
#
# Why it matters: neighbor graphs, and the clusters, maps and trajectories made of them, differ between
# a laptop and a cluster though every seed is recorded.
#
# Seen:
#   pynndescent 0.7.0, 20,000 points, 15 neighbors, random_state=0
#   n_jobs=None: rows equal with 1 and 2 threads: 17,978 of 20,000
#   n_jobs=1: rows equal with 1 and 2 threads: 20,000 of 20,000
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet pynndescent==0.7.0 numpy==2.4.6 scipy==1.17.1 \
    scikit-learn==1.9.1 numba==0.68.1
cat > "$tmp/search.py" <<'PY'
import sys
from importlib.metadata import version

import numba
import numpy as np
from pynndescent import NNDescent

points = np.random.default_rng(0).normal(size=(20_000, 10)).astype(np.float32)


def found(threads: int, n_jobs: int | None) -> np.ndarray:
    numba.set_num_threads(threads)
    return NNDescent(points, n_neighbors=15, random_state=0, n_jobs=n_jobs).neighbor_graph[0]


print(f"pynndescent {version('pynndescent')}, 20,000 points, 15 neighbors, random_state=0")
for n_jobs in (None, 1):
    one, again, two = found(1, n_jobs), found(1, n_jobs), found(2, n_jobs)
    same = (one == two).all(axis=1)
    print(f"n_jobs={n_jobs}: rows equal with 1 and 2 threads: {same.sum():,} of {len(same):,}")
    assert (one == again).all()
    assert same.all() == (n_jobs == 1)
PY
NUMBA_NUM_THREADS=2 "$tmp/venv/bin/python" "$tmp/search.py"
