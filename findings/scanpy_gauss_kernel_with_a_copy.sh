#!/usr/bin/env bash
# scanpy 1.11.5: one exact copy of a cell makes the `gauss` kernel of all cells asymmetric.
#
# `sc.pp.neighbors(method="gauss")` decides whether a row of nearest neighbors begins with the cell
# itself by asking whether ANY row does. `obsp["distances"]` holds no cell itself, but where two cells
# are identical, one row may begin with its own number (the copy having been removed in its place).
# Then the nearest true neighbor of EVERY cell is dropped from the widths and from the symmetrisation.
# Nothing is said. Diffusion maps and pseudotime assume a symmetric kernel: `sc.tl.dpt` is then wrong
# for cells that have no copy.
#
# Why it matters: exact copies are valid data (merged files, cells of few counts, rounded embeddings).
#
# Seen (300 cells along a line, one of them a copy of another):
#   scanpy 1.11.5
#   no copy:           asymmetry 0.000, correlation with time 0.9987
#   cell  10 a copy:   asymmetry 1.000, correlation with time 0.9507
#   cell  50 a copy:   asymmetry 1.000, correlation with time 0.9589
#   cell 150 a copy:   asymmetry 0.000, correlation with time 0.9987
#   cell 250 a copy:   asymmetry 1.000, correlation with time 0.9573
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --no-compile scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 \
    scikit-learn==1.9.1 numba==0.68.1 pynndescent==0.6.0 umap-learn==0.5.12 pandas==2.3.3
cat > "$tmp/kernel.py" <<'PY'
from importlib.metadata import version

import anndata
import numpy as np
import scanpy as sc
from scipy.stats import spearmanr


def measured(copy: int | None) -> tuple[float, float]:
    """Asymmetry of the kernel, and how well pseudotime orders the cells."""
    rng, time = np.random.default_rng(0), np.linspace(0, 1, 300)
    points = np.c_[time * 10, rng.normal(size=(300, 9)) * 0.3].astype(np.float32)
    if copy is not None:
        points[copy], time[copy] = points[copy + 30], time[copy + 30]
    cells = anndata.AnnData(obsm={"points": points})
    sc.pp.neighbors(cells, n_neighbors=15, use_rep="points", method="gauss")
    kernel = cells.obsp["connectivities"]
    sc.tl.diffmap(cells, n_comps=11)
    cells.uns["iroot"] = 299
    sc.tl.dpt(cells)
    return abs(kernel - kernel.T).max(), abs(spearmanr(cells.obs["dpt_pseudotime"], time).statistic)


print("scanpy", version("scanpy"))
alone = measured(None)
print(f"no copy:           asymmetry {alone[0]:.3f}, correlation with time {alone[1]:.4f}")
assert alone[0] == 0 and alone[1] > 0.995
spoiled = [measured(row) for row in (10, 50, 150, 250)]
for row, found in zip((10, 50, 150, 250), spoiled, strict=True):
    print(f"cell {row:3} a copy:   asymmetry {found[0]:.3f}, correlation with time {found[1]:.4f}")
assert sum(asymmetry > 0.1 for asymmetry, _ in spoiled) >= 2
assert sum(correlation < 0.97 for _, correlation in spoiled) >= 2
PY
"$tmp/venv/bin/python" "$tmp/kernel.py"
