"""What `prepare` makes of copies of a cell, ordered categories and scVelo's velocity graph."""

import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from bionemo.geneformer_t.counts.velocity_transitions import velocity_transitions
from bionemo.geneformer_t.run.graph import graph
from bionemo.geneformer_t.run.prepare import prepare

RNG = np.random.default_rng(0)
GENES = [f"ENSG{i:011d}" for i in range(60)]


def cells_in_time(num_cells: int) -> anndata.AnnData:
    """Cells along one path; each gene has its time."""
    time = RNG.permutation(np.linspace(0, 1, num_cells))
    mean = 8 * np.exp(-(((time[:, None] - np.linspace(0, 1, 60)) / 0.2) ** 2)) + 0.1
    obs = pd.DataFrame({"true_time": time}, index=[f"c{i}" for i in range(num_cells)])
    obs["stage"] = np.array(["young", "grown", "old"])[np.digitize(time, [0.3, 0.6])]
    obs["batch"] = np.where(np.arange(num_cells) % 2, "a", "b")
    counts = sp.csr_matrix(RNG.poisson(mean).astype(np.float32))
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))


def run(cells: anndata.AnnData, folder: Path, **settings: Any) -> Path:
    cells.write_h5ad(folder / "cells.h5ad")
    return prepare(
        input=folder / "cells.h5ad", output_dir=folder / "data", pictures=False, **settings
    )


@pytest.mark.slow
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_twenty_copies_among_many_cells_leave_pseudotime_alone(
    tmp_path: Path, batch_key: str | None
) -> None:
    cells = cells_in_time(1440)
    originals = RNG.choice(1440, 20, replace=False)
    copies = np.setdiff1d(np.arange(1440), originals)[::71][:20]
    first = int(cells.obs["true_time"].argmin())
    copies = copies[copies != first]
    counts = cells.X.tolil()
    for copy, original in zip(copies, originals, strict=False):
        counts[copy] = counts[original]
    cells.X = sp.csr_matrix(counts)
    true_time = cells.obs["true_time"].to_numpy()
    true_time[copies] = true_time[originals[: len(copies)]]
    cells.obs["true_time"] = true_time
    folder = run(cells, tmp_path, method=("pseudotime",), root=f"c{first}", batch_key=batch_key)
    train = anndata.read_h5ad(folder / "train" / "data.h5ad").obs
    found = spearmanr(train["dpt_pseudotime"], train["true_time"]).statistic
    assert len(train) > 1000
    assert found > 0.98
    for copy, original in zip(copies, originals, strict=False):
        if {f"c{copy}", f"c{original}"} <= set(train.index):
            pair = train.loc[[f"c{copy}", f"c{original}"], "dpt_pseudotime"]
            assert pair.iloc[0] == pair.iloc[1]


def test_an_ordered_column_is_the_order_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = cells_in_time(120)
    order = ["young", "grown", "old"]
    cells.obs["stage"] = pd.Categorical(cells.obs["stage"], categories=order, ordered=True)
    folder = run(cells, tmp_path, time_key="stage", time_method="mutual")
    train = anndata.read_h5ad(folder / "train" / "data.h5ad")
    start, end = train.obsp["next_cell_ids"].nonzero()
    steps = set(zip(train.obs["stage"].iloc[start], train.obs["stage"].iloc[end], strict=True))
    assert steps == {("young", "grown"), ("grown", "old")}
    capsys.readouterr()
    graph(data_dir=folder, pictures=False)  # it knows the column, and the column the order
    assert re.search(r"next_cell_ids +train .* 100% +0%", capsys.readouterr().out)


def test_a_held_out_stage_keeps_its_place_in_the_order(tmp_path: Path) -> None:
    cells = cells_in_time(120)
    order = ["young", "grown", "old"]
    cells.obs["stage"] = pd.Categorical(cells.obs["stage"], categories=order, ordered=True)
    folder = run(
        cells, tmp_path, time_key="stage", time_method="mutual", split_by="stage",
        test_groups=("grown",), val_fraction=0.0,
    )  # fmt: skip
    assert graph(data_dir=folder, pictures=False).is_dir()


@pytest.mark.slow  # moscot compiles
def test_the_mass_that_transport_moves_is_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("moscot", reason="pip install 'bionemo-geneformer-t[ot]'")
    cells = cells_in_time(120)
    cells.obs["day"] = np.digitize(cells.obs["true_time"], [0.3, 0.6])
    folder = run(cells, tmp_path, time_key="day", time_method="ot", val_fraction=0.0)
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"mass that optimal transport moves .* 0 to 1: (100.0|99.\d)% \(", said)
    notes = anndata.read_h5ad(folder / "train" / "data.h5ad").uns["next_cell_ids"]["notes"]
    assert any(re.search("1 to 2: (100.0|99.\\d)%", note) for note in notes)


def with_velocity(num_cells: int) -> anndata.AnnData:
    cells = cells_in_time(num_cells)
    time = cells.obs["true_time"].to_numpy()
    ahead = time[None] - time[:, None]
    cosine = np.where(abs(ahead) < 0.2, np.clip(ahead * 5, -1, 1), 0)
    cells.uns["velocity_graph"] = sp.csr_matrix(np.maximum(cosine, 0))
    cells.uns["velocity_graph_neg"] = sp.csr_matrix(np.minimum(cosine, 0))
    return cells


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:.*[zZ]arr")  # the version of the format that anndata writes
def test_a_velocity_graph_of_uns_is_read(tmp_path: Path, form: str) -> None:
    cells = with_velocity(100)
    path = tmp_path / f"cells.{form}"
    getattr(cells, f"write_{form}")(path)
    folder = prepare(
        input=path, output_dir=tmp_path / "data", method=("precomputed",), num_neighbors=3,
        obsp_key="velocity_graph", val_fraction=0.0, test_fraction=0.2, pictures=False,
    )  # fmt: skip
    train = anndata.read_h5ad(folder / "train" / "data.h5ad")
    start, end = train.obsp["precomputed_neighbors"].nonzero()
    time = train.obs["true_time"].to_numpy()
    assert (time[end] > time[start]).mean() > 0.98
    rows = cells.obs_names.get_indexer(train.obs_names)
    whole = velocity_transitions(cells.uns["velocity_graph"], cells.uns["velocity_graph_neg"], 100)
    kept = train.obsp["precomputed_neighbors"].tocoo()
    expected = whole.toarray()[rows[kept.row], rows[kept.col]]
    np.testing.assert_allclose(kept.data, expected, rtol=1e-6)


def test_a_velocity_graph_of_more_cells_is_refused(tmp_path: Path) -> None:
    filtered = with_velocity(100)[:80].copy()  # anndata does not cut uns
    with pytest.raises(ValueError, match="is 100 x 100, and the data hold 80 cells"):
        run(filtered, tmp_path, method=("precomputed",), obsp_key="velocity_graph")
