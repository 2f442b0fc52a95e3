#!/usr/bin/env bash
# bionemo-scdl 0.1.3: a graph of neighbors that is stored by columns (CSC) is converted as if it were
# stored by rows, so that every edge is turned round, without an error or a warning.
#
# _extract_neighbor_data copies indptr, indices and data of adata.obsp[key] as they are; the check is
# only that the matrix is sparse. anndata keeps CSC in obsp as it was given, so the .h5ad is valid.
#
# Why it matters: for successors in time the direction is the meaning. A model that is to learn the
# next cell learns the previous one; the archive keeps no trace of it, and for a symmetric graph of
# neighbors nothing changes, so it goes unnoticed. Convert to CSR (`.tocsr()`) before writing the file.
#
# Output seen:
#   obsp says            0 -> 1 and 1 -> 2
#   archive from csr:    {0: [1], 1: [2], 2: []}
#   archive from csc:    {0: [], 1: [0], 2: [1]}
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 bionemo-scdl==0.1.3 anndata==0.12.19 \
    numpy==2.4.6 pandas==2.3.3 scipy==1.17.1
"$tmp/venv/bin/python" -W ignore - "$tmp" <<'PYTHON'
import logging
import sys
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

logging.disable(logging.CRITICAL)
tmp = Path(sys.argv[1])
graph = np.zeros((3, 3), dtype=np.float32)
graph[0, 1] = graph[1, 2] = 1


def successors(layout):
    cells = anndata.AnnData(sp.csr_matrix(np.ones((3, 2), dtype=np.float32)))
    cells.obsp["next_cell_ids"] = sp.csr_matrix(graph).asformat(layout)
    cells.write_h5ad(tmp / f"{layout}.h5ad")
    stored = anndata.read_h5ad(tmp / f"{layout}.h5ad").obsp["next_cell_ids"]
    assert stored.format == layout and (stored.toarray() == graph).all()
    archive = SingleCellMemMapDataset(
        str(tmp / layout), str(tmp / f"{layout}.h5ad"), use_X_not_raw=True, load_neighbors=True
    )
    return {cell: archive.get_neighbor_indices_for_cell(cell).tolist() for cell in range(3)}


by_rows, by_columns = successors("csr"), successors("csc")
print("obsp says            0 -> 1 and 1 -> 2")
print("archive from csr:   ", by_rows)
print("archive from csc:   ", by_columns)
assert by_rows == {0: [1], 1: [2], 2: []}
assert by_columns == {0: [], 1: [0], 2: [1]}
PYTHON
