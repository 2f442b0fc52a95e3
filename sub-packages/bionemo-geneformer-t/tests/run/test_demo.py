import anndata
import pytest

from bionemo.geneformer_t.evaluate.row_names import SHUFFLED
from bionemo.geneformer_t.run import evaluate
from bionemo.geneformer_t.run.demo import demo

SMALL = {"num_cells": 400, "num_epochs": 1, "hidden_size": 16, "num_layers": 1, "seq_length": 33}
pytestmark = pytest.mark.usefixtures("without_type_checks")  # as a user runs it


def interrupted_after_training(**settings) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "evaluate_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            demo(**settings)


@pytest.mark.slow
def test_the_demo_ends_with_a_table_and_pictures_and_runs_again_cheaply(tmp_path, capsys) -> None:
    folder = tmp_path / "demo"
    interrupted_after_training(output_dir=folder, **{**SMALL, "hidden_size": 8})
    other = (folder / "model" / "config.yaml").stat().st_mtime_ns

    interrupted_after_training(output_dir=folder, **SMALL)
    assert "removing the earlier demo" in capsys.readouterr().out
    trained = (folder / "model" / "config.yaml").stat().st_mtime_ns
    assert trained != other

    assert demo(output_dir=folder, **SMALL) == folder
    first = capsys.readouterr().out
    assert "is already trained" in first
    assert "The model" in first
    for name in (
        "report.html", "next_cells.png", "evaluation.json", "model/config.yaml", "fates.h5ad",
    ):  # fmt: skip
        assert (folder / name).is_file()
        assert str(folder / name).removesuffix("config.yaml") in first

    cells = anndata.read_h5ad(folder / "fates.h5ad")
    assert list(cells.obsm["fates"]) == ["B", "A1", "A2"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="fates"' in page
    assert SHUFFLED in first  # trained as a control, it decides what the scores mean
    assert SHUFFLED in page

    demo(output_dir=folder, **SMALL)
    again = capsys.readouterr().out
    assert "is finished; this is its result" in again
    assert "The model" in again
    assert (folder / "model" / "config.yaml").stat().st_mtime_ns == trained


def test_a_folder_of_something_else_is_not_cleared(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="files of no demo"):
        demo(output_dir=tmp_path, fresh=True, **SMALL)
    assert (tmp_path / "thesis.txt").exists()
