#!/usr/bin/env bash
# scanpy 1.11.5 with pynndescent 0.7.0: `sc.pp.neighbors` fails from 8,192 cells on.
#
# scanpy searches neighbors itself below 8,192 cells (Euclidean metric; 4,096 for others) and with
# pynndescent from there on. pynndescent 0.7.0 returns a `scipy.sparse.csr_array`, which has no
# `getnnz`; scanpy 1.11.5, the last for Python 3.11, calls it. Both packages accept each other by their
# declared requirements (`pynndescent>=0.5.13`), and pip installs this pair today.
#
# Why it matters: tests on small data pass, and every analysis of real size fails, in whatever calls
# `sc.pp.neighbors` (CellRank's kernels, UMAPs, clustering). Ask for `pynndescent<0.7` beside
# scanpy 1.11, or hand scanpy a `transformer`.
#
# Seen:
#   scanpy 1.11.5, pynndescent 0.7.0
#   8,191 cells: 8191 x 8191 distances
#   8,192 cells: AttributeError: 'csr_array' object has no attribute 'getnnz'
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --no-compile scanpy==1.11.5 pynndescent==0.7.0 anndata==0.12.19 \
    numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 numba==0.68.1 umap-learn==0.5.12 pandas==2.3.3
cat > "$tmp/neighbors.py" <<'PY'
from importlib.metadata import version

import anndata
import numpy as np
import scanpy as sc

print(f"scanpy {version('scanpy')}, pynndescent {version('pynndescent')}")
points = np.random.default_rng(0).normal(size=(8192, 2)).astype(np.float32)
few = anndata.AnnData(obsm={"points": points[:-1]})
sc.pp.neighbors(few, use_rep="points")
print(f"8,191 cells: {' x '.join(map(str, few.obsp['distances'].shape))} distances")
many = anndata.AnnData(obsm={"points": points})
try:
    sc.pp.neighbors(many, use_rep="points")
except AttributeError as error:
    print(f"8,192 cells: AttributeError: {error}")
    assert "getnnz" in str(error)
else:
    raise SystemExit("8,192 cells: it works now")
PY
"$tmp/venv/bin/python" "$tmp/neighbors.py"
