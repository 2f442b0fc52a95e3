"""`geneformer-t graph` reports on any data folder, as training would read it."""

import json

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.graph import graph
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.simulate import simulate


def report(folder):
    return json.loads((folder / "graph_report.json").read_text())["graphs"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "data"
    simulate(output_dir=folder, num_cells=300, num_genes=100, val_fraction=0, test_fraction=0.3)
    return folder


@pytest.mark.slow
def test_a_simulated_folder_is_measured_and_drawn(simulated, tmp_path, capsys) -> None:
    options = ["--time_key", "pseudotime", "--cluster_key", "branch", "--root", "root"]
    capsys.readouterr()
    assert main(["graph", str(simulated), "--output_dir", str(tmp_path / "out"), *options]) == 0
    text = capsys.readouterr().out
    assert "100%" in text
    assert "no warnings" in text
    found = report(tmp_path / "out")["next_cell_ids"]
    assert set(found) == {"train", "test"}
    for split, quality in found.items():
        assert quality["direction"]["backward"] == 0
        assert quality["distances"]["ratio_high"] < 1
        assert quality["reach"]["origin"] == "given"
        assert (tmp_path / "out" / f"next_cell_ids_{split}.png").is_file()


def test_every_graph_of_a_folder_made_by_hand(tiny_data_dir, capsys) -> None:
    folder = graph(data_dir=tiny_data_dir, time_key="day", pictures=False)
    assert folder == tiny_data_dir / "graph_report"
    found = report(folder)
    # trajectory_neighbors is the same graph as next_cell_ids, temporal_neighbors has other weights
    assert set(found) == {"next_cell_ids", "temporal_neighbors"}
    # cells i + 1 and i + 2 follow cell i; the day changes once
    assert found["next_cell_ids"]["train"]["direction"]["backward"] == 0
    assert found["next_cell_ids"]["train"]["direction"]["num_level_edges"] == 74
    text = capsys.readouterr().out
    assert "stay at the same time" in text
    assert "--batch_key" in text
    assert "trajectory_neighbors is the same graph as next_cell_ids" in text
    assert not list(folder.glob("*.png"))


def test_one_split_one_graph_and_time_labels_on_one_scale(tiny_data_dir, tmp_path) -> None:
    for split, order in {"train": ("early", "late"), "val": ("late", "later")}.items():
        path = tiny_data_dir / split / "data.h5ad"
        cells = anndata.read_h5ad(path)
        cells.obs["stage"] = np.array(order)[cells.obs["day"].to_numpy()]
        cells.write_h5ad(path)
    for_test = tiny_data_dir / "test" / "data.h5ad"
    cells = anndata.read_h5ad(for_test)
    cells.obs["stage"] = "later"
    cells.write_h5ad(for_test)
    options = {"time_key": "stage", "time_order": ("early", "late", "later"), "pictures": False}
    folder = graph(data_dir=tiny_data_dir, output_dir=tmp_path / "all", **options)
    found = report(folder)["next_cell_ids"]
    assert found["val"]["direction"]["mean_step"] > 0
    assert found["test"]["direction"]["level"] == 1
    with pytest.raises(ValueError, match="no cell has it: 'later'"):
        graph(data_dir=tiny_data_dir / "train", output_dir=tmp_path / "one", **options)
    folder = graph(
        data_dir=tiny_data_dir / "train", output_dir=tmp_path / "one",
        neighbor_key=("temporal_neighbors",), pictures=False,
    )  # fmt: skip
    assert list(report(folder)) == ["temporal_neighbors"]
    assert list(report(folder)["temporal_neighbors"]) == ["train"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"time_key": "week"}, KeyError, "no column 'week'; it has: day"),
        ({"cluster_key": "kind"}, KeyError, "cluster_key: obs has no column 'kind'"),
        ({"root": "nobody"}, KeyError, "root: 'nobody' is not a cell"),
        ({"use_rep": "X_scvi"}, KeyError, "no array 'X_scvi'; it has: none"),
        ({"neighbor_key": ("velocity",)}, KeyError, "no successors under key 'velocity'"),
    ],
)
def test_wrong_settings_say_what_there_is(tiny_data_dir, settings, error, message) -> None:
    with pytest.raises(error, match=message):
        graph(data_dir=tiny_data_dir, **settings)


def test_a_folder_without_cells(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="it holds nothing"):
        graph(data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is none"):
        graph(data_dir=tmp_path / "none")


@pytest.mark.slow
def test_what_prepare_recorded_need_not_be_given_again(tiny_data_dir, tmp_path, capsys) -> None:
    prepared = prepare(
        input=(tiny_data_dir / "train" / "data.h5ad",), output_dir=tmp_path / "data",
        time_key="day", time_order=("1", "0"), method=("time", "knn"), cluster_key="day",
    )  # fmt: skip
    capsys.readouterr()
    folder = graph(data_dir=prepared, pictures=False, output_dir=tmp_path / "report")
    text = capsys.readouterr().out
    assert "known from made_by.json: --time_key day --time_order 1 0 --cluster_key day" in text
    assert "temporal_neighbors is the same graph as next_cell_ids" in text
    found = report(folder)
    assert found["next_cell_ids"]["train"]["direction"]["forward"] == 1
    assert found["next_cell_ids"]["train"]["clusters"]["labels"] == ["1", "0"]
    again = graph(
        data_dir=prepared, pictures=False, output_dir=tmp_path / "other", time_key="day",
        neighbor_key=("temporal_neighbors",),
    )  # fmt: skip
    assert report(again)["temporal_neighbors"]["train"]["direction"]["backward"] == 1


@pytest.mark.slow
def test_heart_cells_by_day_go_forward_to_similar_cells(real_data, tmp_path) -> None:
    data = prepare(
        input=(real_data / "ipsc_cm_human.h5ad",), output_dir=tmp_path / "data", time_key="day",
        pictures=False,
    )  # fmt: skip
    train = report(data / "graph_report")["next_cell_ids"]["train"]
    assert train["direction"]["forward"] == 1
    assert train["dead_ends"]["num_without"] == 0
    assert (
        train["distances"]["ratio_high"] < 1
    )  # by optimal transport 0.95, by mutual neighbors 0.73
    assert train["clusters"]["labels"] == ["D0", "D6", "D10", "D30", "D60"]
    again = report(graph(data_dir=data, output_dir=tmp_path / "again", pictures=False))
    clusters = again["next_cell_ids"]["train"]["clusters"]
    assert clusters["labels"] == train["clusters"]["labels"]
    assert clusters["num_edges"] == train["clusters"]["num_edges"]
