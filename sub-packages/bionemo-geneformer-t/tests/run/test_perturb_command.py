"""`geneformer-t perturb` writes what `gft.tl.perturb` computes, whoever shares the work."""

import json
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.perturb import perturb

OPTIONS = {"min_cells": 5, "num_null": 20}


@pytest.fixture
def with_transitions(tiny_data_dir, untrained_checkpoint, tmp_path):
    """Training cells with transitions and fates."""
    cells = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")
    gft.tl.transitions(cells, untrained_checkpoint, num_successors=4)
    cells.obs["pseudotime"] = np.linspace(0, 1, cells.n_obs)
    half = np.where(cells.obs["pseudotime"] > 0.5, "late", "early").astype(object)
    half[:4] = "other"
    cells.obs["half"] = half
    gft.tl.fates(cells, ["late", "other"], cluster_key="half")
    path = tmp_path / "going.h5ad"
    cells.write_h5ad(path)
    return path


def test_the_file_is_as_in_memory(with_transitions, untrained_checkpoint, tmp_path, capsys) -> None:
    written = perturb(
        checkpoint=untrained_checkpoint, input=with_transitions, output=tmp_path / "e.csv",
        pseudotime_key="pseudotime", controls=True, **OPTIONS,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "edited cells were read" in printed
    assert "association" in printed
    assert "no model with shuffled successors is beside the checkpoint" in printed
    cells = anndata.read_h5ad(with_transitions)
    expected = gft.tl.perturb(cells, untrained_checkpoint, pseudotime_key="pseudotime", **OPTIONS)
    found = pd.read_csv(written)
    assert len(found) == len(expected) > 100
    assert {"random_z", "ridge_effect"} <= set(found)
    np.testing.assert_allclose(found["effect"], expected["effect"], rtol=1e-5)
    np.testing.assert_array_equal(found["cells"], expected["cells"])
    assert not list(tmp_path.glob(".e.csv*"))  # sums of an unfinished run


def test_the_same_run_is_not_computed_again_and_another_is_not_overwritten(
    with_transitions, untrained_checkpoint, tmp_path, capsys, monkeypatch
) -> None:
    names = ",".join(anndata.read_h5ad(with_transitions).var_names[:2])
    outputs = [tmp_path / "e.csv", tmp_path / "e.h5ad"]
    given = {"checkpoint": untrained_checkpoint, "input": with_transitions, **OPTIONS}
    for output in outputs:
        perturb(output=output, genes=names, **given)
    before = [output.read_bytes() for output in outputs]
    copied = tmp_path / "copied.h5ad"
    copied.write_bytes(with_transitions.read_bytes())
    changed = tmp_path / "changed.h5ad"
    cells = anndata.read_h5ad(with_transitions)
    cells.obs["note"] = "new"
    cells.write_h5ad(changed)
    monkeypatch.setattr("bionemo.geneformer_t.run.perturb._perturbed", None)  # nothing is computed
    (tmp_path / "names.txt").write_text(names.replace(",", "\n"))
    capsys.readouterr()
    for output in outputs:
        for same in ({"genes": names}, {"genes": str(tmp_path / "names.txt")}, {"input": copied}):
            assert perturb(output=output, **{**given, "genes": names, **same}) == output
            said = capsys.readouterr().out
            assert said == f"{output} already contains these effects; nothing was computed\n"
        for other in (
            {"genes": names.split(",")[0]}, {"min_cells": 6}, {"controls": True}, {"input": changed}
        ):  # fmt: skip
            with pytest.raises(FileExistsError, match=r"has effects of another run: with"):
                perturb(output=output, **{**given, "genes": names, **other})
    assert [output.read_bytes() for output in outputs] == before
    outputs[0].write_text("mine")
    with pytest.raises(FileExistsError, match=r"e\.csv is there already, and it is not known"):
        perturb(output=outputs[0], genes=names, **given)
    assert outputs[0].read_text() == "mine"


def test_effects_of_another_name_are_added_to_a_file(
    with_transitions, untrained_checkpoint, tmp_path
) -> None:
    first, second = anndata.read_h5ad(with_transitions).var_names[:2]
    given = {"checkpoint": untrained_checkpoint, "input": with_transitions, **OPTIONS}
    given["output"] = with_transitions  # in place
    perturb(genes=first, with_cells=True, **given)
    perturb(genes=second, key_added="other", **given)
    written = anndata.read_h5ad(with_transitions)
    assert set(written.uns["perturbation"]["target"]) != set(written.uns["other"]["target"])
    assert written.uns["other_params"]["layer"] == "X"
    perturb(**{**given, "genes": second, "output": tmp_path / "again.h5ad"})
    again = anndata.read_h5ad(tmp_path / "again.h5ad")  # nothing of the run before is mixed in
    assert set(again.uns["perturbation"]["target"]) == set(again.uns["other"]["target"])
    assert not [name for name in again.obsm if name.startswith("perturbation: ")]


def test_a_screen_writes_the_estimates_of_all_genes_beside_its_table(
    with_transitions, untrained_checkpoint, tmp_path, capsys
) -> None:
    given = {"checkpoint": untrained_checkpoint, "input": with_transitions, "screen": True}
    output = perturb(output=tmp_path / "s.csv", num_verified=20, **given, **OPTIONS)
    assert f"estimates of all genes: {tmp_path / 's.estimates.csv'}" in capsys.readouterr().out
    table, estimates = pd.read_csv(output), pd.read_csv(tmp_path / "s.estimates.csv")
    assert set(table["target"]) == set(estimates[estimates["is_verified"]]["target"])
    assert estimates["target"].nunique() > table["target"].nunique() >= 20
    assert not {"effect", "z", "p_value", "fdr"} & set(estimates)
    about = json.loads((tmp_path / "s.about.json").read_text())
    assert about["params"]["screen"] is True
    assert about["verdict"]
    assert about["notes"]
    perturb(output=tmp_path / "s.h5ad", num_verified=20, **given, **OPTIONS)
    stored = anndata.read_h5ad(tmp_path / "s.h5ad").uns["perturbation_estimates"]
    np.testing.assert_allclose(stored["screen_effect"], estimates["screen_effect"], rtol=1e-5)


def test_an_h5ad_is_a_copy_with_tables(with_transitions, untrained_checkpoint, tmp_path) -> None:
    cells = anndata.read_h5ad(with_transitions)
    names = ",".join(cells.var_names[:3])
    output = perturb(
        checkpoint=untrained_checkpoint, input=with_transitions, output=tmp_path / "e.h5ad",
        genes=names, with_cells=True, with_ranks=True, **OPTIONS,
    )  # fmt: skip
    written = anndata.read_h5ad(output)
    assert (written.X != cells.X).nnz == 0
    assert set(written.uns["perturbation"]["readout"]) == {
        "fate late", "fate other", "transition row",
    }  # fmt: skip
    assert written.obsm["perturbation: fate late"].shape == (cells.n_obs, 3)
    assert written.uns["perturbation_ranks"].shape[1] == 3
    assert "fates" in written.obsm


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(
    with_transitions, untrained_checkpoint, tmp_path
) -> None:
    common = ["--checkpoint", untrained_checkpoint, "--input", with_transitions, "--min_cells", "5"]
    common += ["--num_null", "20"]
    alone, shared = tmp_path / "alone.csv", tmp_path / "shared.csv"
    command = ["-m", "bionemo.geneformer_t.run.perturb", *common, "--output"]
    subprocess.run([sys.executable, *map(str, command), alone], check=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([sys.executable, *torchrun, *map(str, command), shared], check=True)
    assert alone.read_bytes() == shared.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "e.txt"], "must end in .csv or .h5ad"),
        (["--output", "e.csv", "--with_cells"], "which a .csv does not hold"),
        (["--output", "e.csv", "--edit", "kill"], "edit must be delete"),
        (["--output", "e.csv", "--num_null", "3"], "num_null must be at least 20"),
        (["--output", "e.csv", "--fates", "up"], "there is no fate 'up'; the fates are: late, oth"),
        (["--output", "e.csv", "--genes", "nothing"], "nothing is not in the model's vocabulary"),
        (["--output", "e.csv", "--genes", "my.txt"], "Nor is there a file of this name"),
        (["--output", "e.csv", "--genes", "GENE3+GENE3"], "names GENE3 twice; name each gene once"),
        (
            ["--output", "e.csv", "--edit", "up:900"],
            "moves genes by 900 ranks, and the model",
        ),
        (["--output", "e.csv", "--edit", "up:3", "--screen"], "a screen is for deleting all genes"),
        (
            ["--output", "e.csv", "--cluster_key", "half", "--clusters", "noon"],
            "no cell has the label 'noon' in obs['half']; its labels are: ",
        ),
    ],
)
def test_mistakes_end_with_one_message(
    with_transitions, untrained_checkpoint, tmp_path, monkeypatch, capsys, options, message
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--checkpoint", str(untrained_checkpoint), "--input", str(with_transitions)]
    with pytest.raises(SystemExit) as end:
        main(["perturb", *given, *options])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "e.csv").exists()


def _without_fates(cells: anndata.AnnData) -> None:
    del cells.obsm["fates"]


def _logarithms(cells: anndata.AnnData) -> None:
    cells.X = np.log1p(cells.X)


def _same_symbols(cells: anndata.AnnData) -> None:
    cells.var["feature_name"] = ["Same" if i in {3, 4} else f"S{i}" for i in range(cells.n_vars)]
    cells.var_names = cells.var["feature_id"].to_numpy()


def _by_another_model(cells: anndata.AnnData) -> None:
    cells.uns["T_geneformer_t"]["model"] = "another"


def _other_genes(cells: anndata.AnnData) -> None:
    del cells.uns["T_geneformer_t"]
    cells.var_names = [f"ENSMUSG{i:011d}" for i in range(cells.n_vars)]
    cells.var = cells.var[[]]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (_without_fates, ["--fates", "late"], "obsm has no 'fates' yet, so that late cannot be"),
        (_without_fates, ["--num_sustained", "1"], "num_sustained needs fates and their terminal"),
        (_without_fates, ["--screen"], "a screen needs a readout with a gradient"),
        (_logarithms, [], "raw counts are whole numbers"),
        (_same_symbols, ["--genes", "Same"], "Same stands for 2 genes"),
        (_by_another_model, [], "were made by another model than this checkpoint"),
        (_other_genes, [], "vocabulary"),
    ],
)
def test_input_that_does_not_fit_is_refused_with_what_to_do(
    with_transitions, untrained_checkpoint, tmp_path, capsys, change, options, message
) -> None:
    cells = anndata.read_h5ad(with_transitions)
    change(cells)
    cells.write_h5ad(tmp_path / "changed.h5ad")
    given = ["--checkpoint", str(untrained_checkpoint), "--input", str(tmp_path / "changed.h5ad")]
    with pytest.raises(SystemExit) as end:
        main(["perturb", *given, "--output", str(tmp_path / "e.csv"), *options])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "e.csv").exists()
