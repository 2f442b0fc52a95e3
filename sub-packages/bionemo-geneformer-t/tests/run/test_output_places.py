"""Where an output cannot go is told before anything else: no work of hours ends in an error."""

import pytest

from bionemo.geneformer_t.run.cli import main


@pytest.mark.parametrize(
    ("command", "suffix", "needs_checkpoint"),
    [
        ("embed", "h5ad", True),
        ("predict", "csv", True),
        ("transitions", "h5ad", True),
        ("fates", "h5ad", False),
        ("drivers", "csv", False),
        ("rollout", "csv", False),
        ("sample", "h5ad", False),
        ("perturb", "csv", True),
        ("perturb", "h5ad", True),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_first(
    command, suffix, needs_checkpoint, tmp_path, capsys
) -> None:
    (tmp_path / "file").write_text("no folder")
    given = ["--input", "none.h5ad", *(["--checkpoint", "none.ckpt"] if needs_checkpoint else [])]
    given += ["--cluster_key", "type"] if command == "rollout" else []
    with pytest.raises(SystemExit) as end:
        main([command, *given, "--output", str(tmp_path / "file" / f"out.{suffix}")])
    assert end.value.code == 2
    assert f"out.{suffix}: {tmp_path / 'file'} is a file, not a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):  # a folder that is missing is made at the end
        main([command, *given, "--output", str(tmp_path / "missing" / f"out.{suffix}")])
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "missing").exists()


def test_scores_that_cannot_be_written_are_not_computed(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("no folder")
    given = ["--checkpoint", "none.ckpt", "--data_dir", str(tmp_path / "none")]
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *given, "--output_dir", str(tmp_path / "file")])
    assert end.value.code == 2
    assert f"{tmp_path / 'file'} is a file, not a folder" in capsys.readouterr().err
