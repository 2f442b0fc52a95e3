"""On real cells, one command gives a folder that trains and whose successors agree with biology."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

pytestmark = pytest.mark.slow

PROGENITORS = ("AP1", "AP2", "BP1", "BP2")
NEOCORTEX = (*PROGENITORS, "N1", "N2", "N3")
DATA: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "heart, real time": (
        "ipsc_cm_human.h5ad",
        {"time_key": "day"},
        {"POU5F1": -1, "TNNT2": 1},
    ),
    "neocortex, order of cell types": (
        "fetal_neocortex_human.h5ad",
        {"time_key": "cell_type", "time_order": NEOCORTEX},
        {"SOX2": -1, "PAX6": -1, "NEUROD6": 1},
    ),
    "neocortex, diffusion pseudotime": (
        "fetal_neocortex_human.h5ad",
        {"method": ("pseudotime",), "root": "AP1", "cluster_key": "cell_type"},
        {"SOX2": -1, "PAX6": -1, "NEUROD6": 1},
    ),
    "pancreas, diffusion pseudotime": (
        "pancreas_e15_mouse.h5ad",
        {"method": ("pseudotime",), "root": "Ductal", "cluster_key": "cluster"},
        {"Ins2": 1, "Gcg": 1},
    ),
    "pancreas, trajectory": (
        "pancreas_e15_mouse.h5ad",
        {"method": ("trajectory",), "root": "Ductal", "cluster_key": "cluster"},
        {"Ins2": 1, "Gcg": 1},
    ),
}
"""Data, settings, and the markers that should rise (1) or fall (-1) along successors."""
TRAINED = ("heart, real time", "neocortex, order of cell types", "pancreas, diffusion pseudotime")


@pytest.mark.parametrize("name", DATA)
def test_the_folder_trains_and_markers_change_as_they_should(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    file, settings, markers = DATA[name]
    folder = prepare(
        input=real_data / file, output_dir=tmp_path / "data", pictures=False, **settings
    )
    train = anndata.read_h5ad(folder / "train" / "data.h5ad")
    key = next(iter(train.uns))
    for gene, sign in markers.items():
        current = slice(None)
        if gene == "NEUROD6" and "order of cell types" in name:
            # It rises from 0.1 in AP1 to 3.5 in N2 and falls to 2.8 in N3 (mean log counts per
            # 10,000), and most steps join N2 and N3: the rise is in the progenitors' successors.
            current = train.obs["cell_type"].isin(PROGENITORS).to_numpy()
        assert sign * mean_change(train, key, gene, current) > 0.03, gene
    if name not in TRAINED:
        return
    checkpoint = train_temporal_geneformer(
        data_dir=folder, output_dir=tmp_path / "run", neighbor_key=key, seq_length=64,
        hidden_size=16, num_layers=1, num_attention_heads=2, intermediate_size=16,
        micro_batch_size=4, max_steps=2, num_workers=0, accelerator="cpu",
        final_evaluation=False,
    )  # fmt: skip
    assert checkpoint.is_file()


def mean_change(cells: anndata.AnnData, key: str, gene: str, current: Any) -> float:
    """Mean change of a gene's log expression from the current cells to their successors."""
    counts = cells.X.toarray()
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    expression = logs[:, cells.var_names.get_loc(gene)]
    edges = cells.obsp[key].tocsr()[current].tocoo()
    change = expression[edges.col] - expression[current][edges.row]
    return float(np.average(change, weights=edges.data))
