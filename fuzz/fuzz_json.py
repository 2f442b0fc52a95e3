"""Fuzz neighbors.json: each edge is in the graph or counted as left out, or it is refused."""

import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bionemo.geneformer_t", "json"]):
    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.successors import read_successors
    from bionemo.geneformer_t.dictionaries import read_json

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from fuzz_target import fuzz

KEY = "next_cell_ids"
SAMPLES = [
    b'{"next_cell_ids": {"c0": ["c1", "c2"], "c1": []}}',
    b'{"next_cell_ids": {"c0": {"c1": 0.5, "c2": 1}}, "other": [null, true, -1e9]}',
    b'{"neighbors": {"c0": [], "c2": {"c0": 1e-3}}, "next_cell_ids": {"c0": ["c0", "unknown"]}}',
]
WORDS = [
    b'"next_cell_ids"', b'"neighbors"', b'"c0"', b'"c1"', b'"c2"', b'"c9"', b'"c0": [', b'"c1": {',
    b'"c2": 0.5', b": {", b"}, ", b"[]", b"{}", b"null", b"true", b"NaN", b"-Infinity", b"1e999",
    b"-1", b"0.0", b"0.25", b'"\\ud800"', b'"\\u0063\\u0030"', b"[[", b"]]", b"\xef\xbb\xbf",
]  # fmt: skip


def read(path: Path) -> None:
    """Read the file, and count the edges of the graph where it holds one."""
    content = read_json(path)
    if not isinstance(content, dict) or KEY not in content:
        return
    graph, dropped = read_successors(path.parent, STORE, KEY)
    listed = sum(len(successors) for successors in content[KEY].values())
    assert graph.num_edges + sum(dropped.values()) == listed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cells = pd.DataFrame(index=["c0", "c1", "c2"])
        genes = pd.DataFrame(index=["g0", "g1", "g2"])
        matrix = sp.csr_matrix(np.eye(3, dtype=np.float32))
        anndata.AnnData(matrix, obs=cells, var=genes).write_h5ad(Path(folder) / "data.h5ad")
        STORE = CellStore.open(Path(folder), Path(folder) / "cache")
        fuzz("neighbors.json", read, SAMPLES, WORDS)
