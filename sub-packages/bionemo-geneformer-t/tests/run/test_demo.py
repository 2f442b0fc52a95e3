import json

import pytest

from bionemo.geneformer_t.run.demo import demo

SMALL = {"num_cells": 400, "num_epochs": 1, "hidden_size": 16, "num_layers": 1, "seq_length": 33}
pytestmark = pytest.mark.usefixtures("without_type_checks")  # as a user runs it


@pytest.mark.slow
def test_the_demo_ends_with_a_table_and_pictures_and_runs_again_cheaply(tmp_path, capsys) -> None:
    folder = demo(output_dir=tmp_path / "demo", **SMALL)
    first = capsys.readouterr().out
    assert "The model" in first
    for name in ("report.html", "next_cells.png", "evaluation.json", "model/config.yaml"):
        assert (folder / name).is_file()
        assert str(folder / name).removesuffix("config.yaml") in first
    trained = (folder / "model" / "config.yaml").stat().st_mtime_ns

    demo(output_dir=folder, **SMALL)
    again = capsys.readouterr().out
    assert "is finished; its result again" in again
    assert "The model" in again
    assert (folder / "model" / "config.yaml").stat().st_mtime_ns == trained

    record = json.loads((folder / "demo.json").read_text())
    del record["evaluated"]  # as if it had been interrupted after the training
    (folder / "demo.json").write_text(json.dumps(record))
    demo(output_dir=folder, **SMALL)
    assert "is trained already" in capsys.readouterr().out

    demo(output_dir=folder, **{**SMALL, "hidden_size": 8})
    assert "removing the earlier demo" in capsys.readouterr().out
    assert (folder / "model" / "config.yaml").stat().st_mtime_ns != trained


def test_a_folder_of_something_else_is_not_cleared(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="no demo made"):
        demo(output_dir=tmp_path, fresh=True, **SMALL)
    assert (tmp_path / "thesis.txt").exists()
