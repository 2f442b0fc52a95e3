"""`gft.tl.train` and `gft.tl.evaluate` do what the commands do, and write where they say."""

import gc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint

TINY = {
    "recipe": None, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "num_epochs": 1, "num_workers": 0, "seq_length": 64,
}  # fmt: skip
OTHERS = "copying_the_current_cell", "successors_of_similar_cells", "mean_change"


@pytest.fixture
def cells(example_cells: anndata.AnnData) -> anndata.AnnData:
    adata = example_cells.copy()
    gft.pp.next_cells(adata, "pseudotime", pseudotime_key="pseudotime", num_neighbors=20)
    return adata


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")
def test_a_model_is_that_of_the_commands_and_is_scored_by_cell(
    cells: anndata.AnnData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = gft.tl.train(cells, **TINY)
    assert capsys.readouterr().out == ""
    folder = model.loaded_from.parents[2]
    assert cells.obs["split"].value_counts().to_dict() == {"train": 240, "val": 30, "test": 30}
    assert model.transitions is not None
    assert model.axes is not None
    gft.tl.transitions(cells, model)
    assert cells.obsp["T_geneformer_t"].shape == (300, 300)

    scores = gft.tl.evaluate(cells, model, max_cells=0)
    assert capsys.readouterr().out == ""
    assert scores.index[0] == "the model"
    assert scores.attrs["verdict"] in scores.attrs["summary"]
    gains = scores["cross_entropy"].iloc[1:] - scores["cross_entropy"].iloc[0]
    np.testing.assert_allclose(scores["gain"].iloc[1:], gains)
    mine = cells.obs["cross_entropy_model"]
    assert (cells.obs["split"][mine.notna()] == "test").all()
    assert 20 < mine.notna().sum() <= 30
    assert abs(mine.mean() - scores["cross_entropy"].iloc[0]) < 0.02  # cells differ in length
    assert {f"cross_entropy_{name}" for name in OTHERS} < set(cells.obs)
    how = cells.uns["cross_entropy"]
    assert how["unit"] == "nats per position"
    assert set(how["columns"]) == {name for name in cells.obs if name.startswith("cross_entropy_")}
    assert how["model"] == model_fingerprint(model)
    cells.write_h5ad(tmp_path / "written.h5ad")
    with pytest.raises(ValueError, match=r"cells that were scored in .*test are not in adata"):
        gft.tl.evaluate(cells[cells.obs["split"] == "train"].copy(), model)

    wanted = model_fingerprint(model)
    assert by_commands(cells, tmp_path) == wanted
    del model
    gc.collect()
    assert not folder.exists()


def by_commands(cells: anndata.AnnData, folder: Path) -> str:
    """The fingerprint of the model that the commands train."""
    only = anndata.AnnData(
        cells.X, obs=cells.obs[["day", "cell_type", "donor", "pseudotime"]], var=cells.var,
        obsp={"next_cell_ids": cells.obsp["next_cell_ids"]},
    )  # fmt: skip
    only.write_h5ad(folder / "again.h5ad")
    gft.prepare_data(
        input=[folder / "again.h5ad"], output_dir=folder / "data", method=["precomputed"],
        obsp_key="next_cell_ids", neighbor_key="next_cell_ids", num_neighbors=20, pictures=False,
    )  # fmt: skip
    best = gft.train_temporal_geneformer(
        data_dir=folder / "data", output_dir=folder / "run", final_evaluation=False, **TINY
    )
    from bionemo.geneformer_t.inference.checkpoint import load_model

    return model_fingerprint(load_model(best))


def test_columns_that_no_file_holds_do_not_stop_it(
    cells: anndata.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As notebooks make them: intervals, dates, nullable numbers, objects of several types."""
    from bionemo.geneformer_t.run import train_temporal

    def trained(**_: object) -> None:
        raise InterruptedError("prepared")

    monkeypatch.setattr(train_temporal, "train_temporal_geneformer", trained)
    numbers = np.arange(cells.n_obs)
    cells.obs["bin"] = pd.cut(numbers, 3)
    cells.obs["date"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(numbers, "D")
    cells.obs["nullable"] = pd.array(numbers, dtype="Float64")
    cells.obs["mixed"] = [1 if number % 2 else "x" for number in numbers]
    cells.obs[7] = numbers
    cells.var["mixed"] = [1 if number % 2 else "x" for number in range(cells.n_vars)]
    cells.obsm["table"] = pd.DataFrame({"any": cells.obs["mixed"]}, index=cells.obs_names)
    before = cells.obs.copy()
    with pytest.raises(InterruptedError, match="prepared"):
        gft.tl.train(cells, output_dir=tmp_path)
    pd.testing.assert_frame_equal(cells.obs, before)
    found = anndata.read_h5ad(tmp_path / "data" / "train" / "data.h5ad").obs
    given = before.loc[found.index]
    np.testing.assert_array_equal(found["nullable"], given["nullable"].astype(float))
    assert found["date"].astype(str).tolist() == list(map(str, given["date"]))
    assert found["bin"].astype(str).tolist() == given["bin"].astype(str).tolist()
    assert found["mixed"].astype(str).tolist() == given["mixed"].astype(str).tolist()
    np.testing.assert_array_equal(found["7"], given[7])


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")
def test_a_column_chooses_the_held_out_cells_and_a_folder_keeps_the_run(
    cells: anndata.AnnData, tmp_path: Path
) -> None:
    labels = np.resize(["train", "train", "train", "val"], cells.n_obs).astype(object)
    labels[:5] = None
    cells.obs["mine"] = labels
    cells.layers["counts"], cells.X = cells.X, None
    model = gft.tl.train(
        cells, split_key="mine", layer="counts", output_dir=tmp_path / "out", key_added="kept",
        **TINY,
    )  # fmt: skip
    pd.testing.assert_series_equal(
        cells.obs["kept"].astype(object).where(cells.obs["kept"].notna(), None),
        cells.obs["mine"], check_names=False,
    )  # fmt: skip
    checkpoint = model.loaded_from
    del model
    gc.collect()
    assert checkpoint.is_file()
    assert checkpoint.is_relative_to(tmp_path / "out" / "run")
    scores = gft.tl.evaluate(cells, checkpoint, split="val", max_cells=10, key_added="of_val")
    assert cells.obs["of_val_model"].notna().sum() == 10
    assert scores["verdict"].notna().sum() == len(scores) - 1


def test_what_cannot_be_trained_on_is_refused_before_anything_is_written(
    cells: anndata.AnnData, tmp_path: Path, without_type_checks: None
) -> None:
    out = tmp_path / "out"
    with pytest.raises(TypeError, match=r"no setting num_epoch;.*did you mean num_epochs"):
        gft.tl.train(cells, num_epoch=3, output_dir=out)
    with pytest.raises(TypeError, match="no setting data_dir"):
        gft.tl.train(cells, data_dir=out)
    with pytest.raises(KeyError, match="obsp has no graph 'velocity'; it has: next_cell_ids"):
        gft.tl.train(cells, "velocity", output_dir=out)
    with pytest.raises(KeyError, match="no layer 'spliced'"):
        gft.tl.train(cells, layer="spliced", output_dir=out)
    with pytest.raises(TypeError, match="expected cells as an AnnData object; got str"):
        gft.tl.train("cells.h5ad")
    with pytest.raises(KeyError, match="split_key: obs of adata has no column 'fold'"):
        gft.tl.train(cells, split_key="fold", output_dir=out)
    with pytest.raises(ValueError, match="must hold train, and may hold val and test; it holds: A"):
        gft.tl.train(cells, split_key="cell_type", output_dir=out)
    with pytest.raises(TypeError, match="leave out split_by, val_fraction"):
        gft.tl.train(cells, split_key="donor", split_by="donor", val_fraction=0.2, output_dir=out)
    fractions = cells.copy()
    fractions.X = fractions.X * 0.5
    with pytest.raises(ValueError, match="raw counts"):
        gft.tl.train(fractions, output_dir=out)
    assert not out.exists()


def test_what_has_no_scores_is_refused(
    cells: anndata.AnnData, untrained_checkpoint: Path, without_type_checks: None
) -> None:
    from bionemo.geneformer_t.inference.checkpoint import load_model

    with pytest.raises(TypeError, match="expected a trained model or the path"):
        gft.tl.evaluate(cells, 3)
    with pytest.raises(TypeError, match="takes the checkpoint as model"):
        gft.tl.evaluate(cells, untrained_checkpoint, checkpoint="other.ckpt")
    with pytest.raises(ValueError, match="does not say what it was trained on; give data_dir"):
        gft.tl.evaluate(cells, untrained_checkpoint)
    model = load_model(untrained_checkpoint)
    model.loaded_from = None
    with pytest.raises(ValueError, match="was not loaded from one"):
        gft.tl.evaluate(cells, model)
    with pytest.raises(TypeError, match=r"unknown settings: max_cell; .*did you mean max_cells"):
        gft.tl.evaluate(cells, untrained_checkpoint, data_dir="data", max_cell=3)
