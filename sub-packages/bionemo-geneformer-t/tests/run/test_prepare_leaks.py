"""Whatever held-out cells express, the training folder is the same to the last byte.

Graphs, medians, vocabulary and coordinates are compared, for every way to split and every builder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.run.prepare import prepare

pytestmark = pytest.mark.slow  # two runs with every builder for each way to split

SPLIT_MODES: dict[str, dict[str, Any]] = {
    "by cell": {},
    "by donor": {"split_by": "donor"},
    "named donors": {"split_by": "donor", "test_groups": ("d1",), "val_groups": ("d4",)},
    "held-out time point": {"split_by": "day", "test_groups": ("D2",)},
    "held-out first time point": {"split_by": "day", "test_groups": ("D0",)},
    "held-out lineage": {"split_by": "lineage", "test_groups": ("right",), "val_fraction": 0.0},
    "copies dropped": {"duplicates": "drop"},
}
EVERY_METHOD: dict[str, Any] = {
    "method": ("time", "pseudotime", "trajectory", "knn", "precomputed"),
    "obsp_key": "velocity",
    "cluster_key": "day",
    "root": "D1",
}


def dataset() -> anndata.AnnData:
    rng = np.random.default_rng(3)
    day = np.repeat([0, 1, 2, 3], 40)
    rises = np.arange(30) % 2
    mean = 0.5 + np.where(rises == 1, day[:, None], 3 - day[:, None]) * 1.5
    obs = pd.DataFrame(
        {
            "day": [f"D{d}" for d in day],
            "donor": rng.permutation([f"d{i % 8}" for i in range(160)]),
            "lineage": rng.choice(["left", "right", "root"], 160, p=[0.4, 0.2, 0.4]),
        },
        index=[f"c{i}" for i in range(160)],
    )
    velocity = sp.random_array((160, 160), density=0.1, rng=rng, format="csr")
    return anndata.AnnData(
        sp.csr_matrix(rng.poisson(mean).astype(np.float32)),
        obs=obs,
        var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(30)]),
        obsp={"velocity": velocity},
    )


def run(cells: anndata.AnnData, folder: Path, **settings: Any) -> Path:
    folder.mkdir()
    cells.write_h5ad(folder / "cells.h5ad")
    return prepare(
        input=folder / "cells.h5ad",
        output_dir=folder / "data",
        time_key="day",
        pictures=False,
        **settings,
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a way to split, with every builder; prepared once, and only read."""
    found: dict[str, Path] = {}

    def folder_of(mode: str) -> Path:
        if mode not in found:
            folder = tmp_path_factory.mktemp("prepared") / "run"
            found[mode] = run(dataset(), folder, **SPLIT_MODES[mode], **EVERY_METHOD)
        return found[mode]

    return folder_of


def content(split_dir: Path) -> dict[str, bytes]:
    """Every file of a split; of HDF5, every array."""
    found = {file.name: file.read_bytes() for file in split_dir.iterdir() if file.suffix != ".h5ad"}

    def add(name: str, element: Any) -> None:
        if isinstance(element, h5py.Dataset):
            found[name] = repr(np.asarray(element[()]).tolist()).encode()

    with h5py.File(split_dir / "data.h5ad") as file:
        file.visititems(add)
    return found


def held_out_cells(folder: Path) -> list[str]:
    names: list[str] = []
    for split in ("val", "test"):
        if (folder / split).is_dir():
            names += list(anndata.read_h5ad(folder / split / "data.h5ad").obs_names)
    return names


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=pytest.mark.optimal_transport if mode == "by donor" else ())
        for mode in SPLIT_MODES
    ],
)
def test_training_knows_nothing_of_held_out_cells(
    tmp_path: Path, prepared: Callable[[str], Path], mode: str
) -> None:
    settings = {**SPLIT_MODES[mode], **EVERY_METHOD}
    before = prepared(mode)
    held_out = held_out_cells(before)
    assert len(held_out) >= 16
    changed = dataset()
    counts = changed.X.toarray()
    rows = changed.obs_names.get_indexer(held_out)
    counts[rows] = counts[rows][:, ::-1] * 7 + np.arange(30) % 3
    changed.X = sp.csr_matrix(counts)
    after = run(changed, tmp_path / "after", **settings)
    assert held_out_cells(after) == held_out
    expected, found = content(before / "train"), content(after / "train")
    assert set(expected) == set(found)
    assert [name for name in expected if expected[name] != found[name]] == []
    for name in ("geneformer.vocab", "medians.json"):
        assert (after / "test" / name).read_bytes() == expected[name]
    assert content(before / "test")["X/data"] != content(after / "test")["X/data"]


@pytest.mark.parametrize("mode", SPLIT_MODES)
def test_no_cell_is_in_two_splits_and_no_edge_leads_out_of_one(
    prepared: Callable[[str], Path], mode: str
) -> None:
    folder = prepared(mode)
    seen: set[str] = set()
    for split in ("train", "val", "test"):
        if not (folder / split).is_dir():
            continue
        cells = anndata.read_h5ad(folder / split / "data.h5ad")
        assert not seen & set(cells.obs_names)
        seen |= set(cells.obs_names)
        graphs = pd.read_json(folder / split / "neighbors.json", typ="series")
        for graph in graphs:
            assert {*graph, *(name for edges in graph.values() for name in edges)} <= seen
            assert set(graph) <= set(cells.obs_names)


def test_the_input_has_no_cell_that_the_root_moves(tmp_path: Path) -> None:
    """A root cell that was drawn into the test split would order the training cells."""
    by_cell = run(dataset(), tmp_path / "first")
    root = anndata.read_h5ad(by_cell / "test" / "data.h5ad").obs_names[0]
    folder = run(dataset(), tmp_path / "second", method=("pseudotime",), root=root)
    assert root in anndata.read_h5ad(folder / "train" / "data.h5ad").obs_names
    donor = dataset().obs["donor"][root]
    with pytest.raises(ValueError, match="must not be ordered from a cell that they may not see"):
        run(
            dataset(), tmp_path / "third", method=("pseudotime",), root=root, split_by="donor",
            test_groups=(donor,),
        )  # fmt: skip


def test_edges_that_cross_a_split_are_cut_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(
        dataset(), tmp_path / "run", method=("precomputed",), obsp_key="velocity", num_neighbors=99
    )
    report = capsys.readouterr().out
    matrix = dataset().obsp["velocity"].tocoo()
    real = int((matrix.row != matrix.col).sum())
    kept = 0
    for split in ("train", "val", "test"):
        cells = anndata.read_h5ad(folder / split / "data.h5ad")
        kept += cells.obsp["precomputed_neighbors"].nnz
        assert set(cells.obsp) == {"precomputed_neighbors"}
    line = next(line for line in report.splitlines() if "led out of their split" in line)
    cut = sum(
        int(part.split()[0].replace(",", "")) for part in line.split("split: ")[1].split(", ")
    )
    assert real == kept + cut
    assert cut > 0


def with_copies() -> anndata.AnnData:
    cells = dataset()
    counts = cells.X.toarray()
    counts[1::2] = counts[::2]
    cells.X = sp.csr_matrix(counts)
    return cells


@pytest.mark.parametrize("choice", ["keep", "drop", "move"])
def test_copies_across_splits_are_reported_and_treated(
    tmp_path: Path, choice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(with_copies(), tmp_path / "run", duplicates=choice)
    report = capsys.readouterr().out
    words = {"keep": "they are kept", "drop": "they were left out", "move": "they were moved"}
    line = " ".join(report[report.index("copies: ") :].split())
    assert words[choice] in line
    number = int(line.split()[1])
    rows = {
        split: set(map(tuple, anndata.read_h5ad(folder / split / "data.h5ad").X.toarray().tolist()))
        for split in ("train", "val", "test")
    }
    sizes = {s: anndata.read_h5ad(folder / s / "data.h5ad").n_obs for s in rows}
    assert sum(sizes.values()) == 160 - (number if choice == "drop" else 0)
    assert bool(rows["train"] & rows["test"]) == (choice == "keep")
    assert bool(rows["train"] & rows["val"]) == (choice == "keep")
