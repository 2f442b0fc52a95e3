"""`geneformer-t simulate` writes a data folder, the same bytes for the same seed."""

import hashlib
import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t import simulation
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.simulation import known_successors
from bionemo.geneformer_t.vocab import GeneVocab

SIZES = {"num_cells": 300, "num_genes": 60, "counts_per_cell": 200.0}


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(output_dir=tmp_path_factory.mktemp("simulated") / "data", **SIZES)


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    same = simulate(output_dir=tmp_path / "same", **SIZES)
    other = simulate(output_dir=tmp_path / "other", seed=1, **SIZES)
    assert hashes(same) == hashes(folder)
    assert hashes(other)["train/data.h5ad"] != hashes(folder)["train/data.h5ad"]


def test_every_split_is_complete(folder: Path) -> None:
    for name, num_cells in {"train": 240, "val": 30, "test": 30}.items():
        cells = anndata.read_h5ad(folder / name / "data.h5ad")
        vocab = GeneVocab.read(folder / name / "geneformer.vocab", folder / name / "medians.json")
        assert cells.n_obs == num_cells
        assert {"pseudotime", "branch"} <= set(cells.obs)
        assert cells.obsm["X_latent"].shape == (num_cells, 2)
        assert (vocab.encode(list(cells.var_names)) >= 0).mean() > 0.9
        assert set(cells.obs["branch"]) == {"root", "A", "B", "A1", "A2"}


def test_json_and_obsp_hold_the_same_successors_inside_the_split(folder: Path) -> None:
    cells = anndata.read_h5ad(folder / "train" / "data.h5ad")
    graph = json.loads((folder / "train" / "neighbors.json").read_text())["next_cell_ids"]
    names, matrix = cells.obs_names, cells.obsp["next_cell_ids"]
    assert sum(map(len, graph.values())) == matrix.nnz
    for cell, successors in list(graph.items())[:20]:
        row = matrix[[names.get_loc(cell)]].toarray().ravel()
        found = {names[i]: row[i] for i in np.flatnonzero(row)}
        assert found == pytest.approx(successors, rel=1e-5)  # the JSON holds six digits


def test_successors_are_found_once_and_inside_each_split_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def counted(tree, branch, pseudotime, **settings):
        searched.append(len(branch))
        return known_successors(tree, branch, pseudotime, **settings)

    monkeypatch.setattr(simulation, "known_successors", counted)
    simulate(output_dir=tmp_path / "data", **SIZES)
    assert searched == [240, 30, 30]
    whole = simulation.simulate(simulation.SimulationSettings(**SIZES), np.random.default_rng(0))
    graph = whole.successors
    assert searched[3:] == [300]
    assert whole.successors is graph
    among = whole.successors_among(np.arange(10, 250))
    assert among.num_cells == 240
    assert among.num_edges < graph.num_edges


def test_a_finished_folder_is_kept_and_another_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashes(folder)
    assert simulate(output_dir=folder, **SIZES) == folder
    assert "already" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="choose another folder"):
        simulate(output_dir=folder, seed=7, **SIZES)
    assert hashes(folder) == before


def test_nothing_half_written_is_left_behind(folder: Path) -> None:
    assert [entry.name for entry in folder.parent.iterdir()] == ["data"]


def test_the_command_line_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--output-dir", str(tmp_path / "x"), "--num_cells", "200", "--num_genes", "50"]
    assert main(["simulate", *arguments, "--val_fraction", "0"]) == 0
    assert "next: geneformer-t train" in capsys.readouterr().out
    assert not (tmp_path / "x" / "val").exists()


def test_cells_with_switch_genes_say_what_their_fates_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = simulate(
        output_dir=tmp_path / "fates", num_switch_genes=2, num_donors=3, num_cells=400,
        num_genes=80, counts_per_cell=300.0,
    )  # fmt: skip
    assert "fates B " in (said := capsys.readouterr().out)
    assert "8 switch genes; 3 donors" in said
    cells = anndata.read_h5ad(folder / "train" / "data.h5ad")
    fates = cells.obsm["true_fates"]
    assert list(fates.columns) == ["B", "A1", "A2"]
    assert list(fates.index) == list(cells.obs_names)
    assert set(cells.obs["donor"]) == {"donor_1", "donor_2", "donor_3"}
    assert cells.obs["time_point"].max() == 5
    switches = cells.var[cells.var["switch_sign"] != 0]
    assert sorted(switches["switch_branch"]) == ["A", "A", "A1", "A1", "A2", "A2", "B", "B"]
    toward_b = switches[(switches["switch_branch"] == "B") & (switches["switch_sign"] == 1)]
    assert toward_b[["drives_B", "drives_A1", "drives_A2"]].to_numpy().tolist() == [[1, -1, -1]]


def test_settings_of_switch_genes_change_nothing_without_them(folder: Path) -> None:
    """Today's folders keep their record, so that the same command finds its work done."""
    record = json.loads((folder / "made_by.json").read_text())
    assert not {"num_switch_genes", "num_donors", "switch_effect"} & record["settings"].keys()
