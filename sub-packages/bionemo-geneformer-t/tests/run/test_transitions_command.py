"""`geneformer-t transitions` writes what `gft.tl.transitions` computes, and fits a checkpoint."""

import anndata
import pytest
import torch
from random_axes import random_axes

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.transitions import transitions
from bionemo.geneformer_t.training import add_canonical_axes
from bionemo.geneformer_t.training.checkpoint_files import add_entry

KEY = "T_geneformer_t"


def test_the_file_is_as_in_memory_and_all_else_is_kept(
    tiny_data_dir, untrained_checkpoint, tmp_path, capsys
) -> None:
    source = tiny_data_dir / "test"
    output = transitions(
        checkpoint=untrained_checkpoint, input=source, output=tmp_path / "out.h5ad",
        num_successors=4, time_key="day",
    )  # fmt: skip
    written, cells = anndata.read_h5ad(output), anndata.read_h5ad(source / "data.h5ad")
    gft.tl.transitions(cells, untrained_checkpoint, num_successors=4, time_key="day")
    assert (written.obsp[KEY] != cells.obsp[KEY]).nnz == 0
    assert written.uns[KEY]["model"] == cells.uns[KEY]["model"]
    assert (written.X != cells.X).nnz == 0
    assert written.obs.equals(cells.obs)
    printed = capsys.readouterr().out
    assert "cells go to up to 4 of 16 candidates each" in printed
    assert "have no candidate to go to" in printed


def test_an_atlas_gives_a_file_of_its_own(tiny_data_dir, untrained_checkpoint, tmp_path) -> None:
    output = transitions(
        checkpoint=untrained_checkpoint, input=tiny_data_dir / "test",
        candidates=tiny_data_dir / "train", output=tmp_path / "to_atlas.h5ad",
    )  # fmt: skip
    written = anndata.read_h5ad(output)
    cells, atlas = (anndata.read_h5ad(tiny_data_dir / s / "data.h5ad") for s in ("test", "train"))
    expected = gft.tl.transitions(cells, untrained_checkpoint, atlas)
    assert (expected != written.X).nnz == 0
    assert written.obs_names.tolist() == cells.obs_names.tolist()
    assert written.var_names.tolist() == atlas.obs_names.tolist()
    assert "train" in written.uns[KEY]["params"]["candidates"]


def test_a_fit_is_written_into_the_checkpoint_and_used(
    tiny_data_dir, untrained_checkpoint, tmp_path, capsys
) -> None:
    before = load_model(untrained_checkpoint)
    assert before.transitions is None
    assert transitions(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir)
    fit = load_model(untrained_checkpoint).transitions
    assert fit is not None
    assert f"fitted: {fit}" in capsys.readouterr().out
    output = transitions(
        checkpoint=untrained_checkpoint, input=tiny_data_dir / "test",
        output=tmp_path / "out.h5ad",
    )  # fmt: skip
    params = anndata.read_h5ad(output).uns[KEY]["params"]
    assert params["temperature"] == fit.choice.temperature
    assert params["num_references"] == len(fit.references)
    for name, weight in load_model(untrained_checkpoint).state_dict().items():
        assert (weight == before.state_dict()[name]).all()


def test_the_weight_of_canonical_axes_is_printed_and_kept(
    tiny_data_dir, untrained_checkpoint, tmp_path, capsys
) -> None:
    axes = random_axes(len(load_model(untrained_checkpoint).vocab), num_ranks=15)
    add_entry(untrained_checkpoint, "axes", axes.to_dict())
    given = {"checkpoint": untrained_checkpoint, "input": tiny_data_dir / "test"}
    weighted = transitions(**given, output=tmp_path / "weighted.h5ad", axes_weight=3)
    assert "canonical axes with weight 3" in capsys.readouterr().out
    alone = transitions(**given, output=tmp_path / "alone.h5ad", axes_weight=0)
    assert "canonical axes" not in capsys.readouterr().out.splitlines()[0]
    found = [anndata.read_h5ad(path) for path in (weighted, alone)]
    assert [one.uns[KEY]["params"]["axes_weight"] for one in found] == [3, 0]
    assert (found[0].obsp[KEY] != found[1].obsp[KEY]).nnz


def test_a_control_of_shuffled_successors_gets_axes_of_shuffled_successors(
    tiny_data_dir, untrained_checkpoint, monkeypatch
) -> None:
    content = torch.load(untrained_checkpoint, weights_only=True)
    content[CHECKPOINT_KEY]["pair_settings"]["shuffle_successors"] = True
    torch.save(content, untrained_checkpoint)
    seen = []
    monkeypatch.setattr(
        add_canonical_axes, "axes_of_split", lambda training, *_: seen.append(training.graph)
    )
    transitions(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir)
    true = open_split(load_model(untrained_checkpoint), tiny_data_dir / "train").graph
    assert (seen[0].indices != true.indices).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to do"),
        (["--input", "{data}/test"], "input and output together"),
        (["--input", "{data}/test", "--output", "x.csv"], "must end in .h5ad"),
        (["--input", "{data}/none", "--output", "x.h5ad"], "expected an .h5ad file"),
        (["--data_dir", "{data}", "--score", "distance"], "invalid choice"),
        (["--data_dir", "{data}", "--axes_weight", "-1"], "must not be negative; got -1"),
        (["--data_dir", "{data}", "--axes_weight", "nan"], "axes_weight must be a finite number"),
        (["--data_dir", "{data}", "--temperature", "inf"], "temperature must be a finite number"),
        (
            ["--data_dir", "{data}", "--score", "likelihood", "--axes_weight", "1"],
            "part of the score 'pmi' alone",
        ),
        (
            ["--input", "{data}/test", "--output", "x.h5ad", "--axes_weight", "3"],
            "this model has no canonical axes",
        ),
        (
            ["--input", "{data}/test", "--output", "x.h5ad", "--num_successors", "16"],
            "there are only 15 candidates",
        ),
    ],
)
def test_bad_settings_end_with_one_message(
    tiny_data_dir, untrained_checkpoint, capsys, options, message
) -> None:
    given = [option.format(data=tiny_data_dir) for option in options]
    with pytest.raises(SystemExit):
        main(["transitions", "--checkpoint", str(untrained_checkpoint), *given])
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_folder_without_validation_successors_is_refused(
    tiny_data_dir, untrained_checkpoint, tmp_path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(tiny_data_dir / "train")
    with pytest.raises(ValueError, match=r"no cell of .*/val has a successor"):
        transitions(checkpoint=untrained_checkpoint, data_dir=tmp_path / "data")


@pytest.mark.parametrize("replaced", ["input", "candidates"])
def test_a_matrix_to_an_atlas_takes_the_place_of_nothing_that_is_read(
    tiny_data_dir, untrained_checkpoint, tmp_path, replaced
) -> None:
    files = {name: tmp_path / f"{name}.h5ad" for name in ("input", "candidates")}
    for path in files.values():
        path.write_bytes((tiny_data_dir / "test" / "data.h5ad").read_bytes())
    (tmp_path / "link.h5ad").symlink_to(files[replaced])
    before = files[replaced].read_bytes()
    for output in (files[replaced], tmp_path / "link.h5ad"):
        with pytest.raises(ValueError, match=f"output and {replaced} are the same file"):
            transitions(checkpoint=untrained_checkpoint, output=output, **files)
    assert files[replaced].read_bytes() == before
