"""`geneformer-t prepare` writes a folder that trains, and nothing crosses its splits."""

import json
import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.data.stored_graphs import recorded_options
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab

SPLITS = ("train", "val", "test")
GENES = [f"ENSG{i:011d}" for i in range(40)]


def dataset(**changes: Any) -> anndata.AnnData:
    """90 cells of three days; even genes fall and odd genes rise."""
    rng = np.random.default_rng(0)
    days = np.repeat([0, 2, 10], 30)
    rises = np.arange(40) % 2
    mean = 0.3 + np.where(rises == 1, days[:, None] / 2, 5 - days[:, None] / 2)
    counts = rng.poisson(mean).astype(np.float32)
    counts[:, 39] = 0  # a gene that no cell expresses
    obs = pd.DataFrame({"day": [f"D{day}" for day in days]}, index=[f"c{i}" for i in range(90)])
    cells = anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES))
    for name, value in changes.items():
        setattr(cells, name, value)
    return cells


def write(cells: anndata.AnnData, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cells.write_h5ad(folder / "input.h5ad")
    return folder / "input.h5ad"


def run(cells: anndata.AnnData, folder: Path, **settings: Any) -> Path:
    path = write(cells, folder)
    return prepare(
        input=path, output_dir=folder / "data", **{"time_key": "day", "pictures": False, **settings}
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(dataset(), tmp_path_factory.mktemp("prepared"))


def read(folder: Path, split: str) -> tuple[anndata.AnnData, dict[str, Any], GeneVocab]:
    split_dir = folder / split
    graphs = json.loads((split_dir / "neighbors.json").read_text())
    vocab = GeneVocab.read(split_dir / "geneformer.vocab", split_dir / "medians.json")
    return anndata.read_h5ad(split_dir / "data.h5ad"), graphs, vocab


def test_every_split_holds_every_time_point_and_each_cell_once(prepared: Path) -> None:
    names: list[str] = []
    for split in SPLITS:
        cells, _, _ = read(prepared, split)
        assert set(cells.obs["day"]) == {"D0", "D2", "D10"}
        names += list(cells.obs_names)
    assert sorted(names) == sorted(f"c{i}" for i in range(90))


def test_counts_genes_and_graph_are_those_of_the_input(prepared: Path) -> None:
    whole = dataset()
    for split in SPLITS:
        cells, graphs, vocab = read(prepared, split)
        assert isinstance(cells.X, sp.csr_matrix)
        assert (cells.X.toarray() == whole[cells.obs_names].X.toarray()).all()
        assert vocab.genes == tuple(GENES[:39])
        edges = {(c, s): w for c, all_ in graphs["next_cell_ids"].items() for s, w in all_.items()}
        assert cells.obsp["next_cell_ids"].nnz == len(edges)
        assert {name for edge in edges for name in edge} <= set(cells.obs_names)
        step = {"D0": "D2", "D2": "D10"}
        day = cells.obs["day"].astype(str)
        assert all(step[day[cell]] == day[successor] for cell, successor in edges)


def test_held_out_cells_leave_no_trace_in_training(prepared: Path, tmp_path: Path) -> None:
    held_out = [*read(prepared, "val")[0].obs_names, *read(prepared, "test")[0].obs_names]
    changed = dataset()
    counts = changed.X.toarray()
    rows = changed.obs_names.get_indexer(held_out)
    counts[rows] = counts[rows][:, ::-1] * 7 + 1
    other = run(dataset(X=sp.csr_matrix(counts)), tmp_path)
    before, graphs, vocab = read(prepared, "train")
    after, graphs_after, vocab_after = read(other, "train")
    assert vocab.fingerprint == vocab_after.fingerprint
    assert graphs == graphs_after
    assert (before.obsm["X_pca"] == after.obsm["X_pca"]).all()


def test_edges_never_cross_a_split(prepared: Path) -> None:
    for split in SPLITS:
        cells, graphs, _ = read(prepared, split)
        own = set(cells.obs_names)
        for cell, successors in graphs["next_cell_ids"].items():
            assert {cell, *successors} <= own


def test_the_report_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(dataset(), tmp_path, neighbor_key="temporal_neighbors")
    report = capsys.readouterr().out
    for part in (
        "D0", "D10", "72", "39 of 40 genes are in the vocabulary", GENES[39], "forward",
        "next: geneformer-t train", "--neighbor_key temporal_neighbors",
    ):  # fmt: skip
        assert part in report, part


def test_running_it_again_keeps_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(dataset(), tmp_path)
    run(dataset(), tmp_path)
    assert "already prepared" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="other settings or input"):
        run(dataset(), tmp_path, seed=1)
    (folder / "made_by.json").unlink()
    with pytest.raises(FileExistsError, match="not made by this command"):
        run(dataset(), tmp_path)


def test_cells_without_time_or_counts_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = dataset()
    cells.obs.loc[["c3", "c4"], "day"] = np.nan
    counts = cells.X.toarray()
    counts[50] = 0
    cells.X = sp.csr_matrix(counts)
    folder = run(cells, tmp_path)
    report = capsys.readouterr().out
    assert "left out: 2 cells without a time" in report
    assert "left out: 1 cells without any count" in report
    assert sum(read(folder, split)[0].n_obs for split in SPLITS) == 87


def test_symbols_are_mapped_and_doubles_summed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = dataset()
    cells.var_names = [f"S{i}" for i in range(40)]
    names = {f"S{i}": GENES[max(i, 1)] for i in range(35)}
    (tmp_path / "names.json").write_text(json.dumps(names))
    folder = run(cells, tmp_path, gene_names=tmp_path / "names.json")
    train, _, vocab = read(folder, "train")
    whole = dataset()[train.obs_names].X.toarray()
    assert (train.X.toarray()[:, 0] == whole[:, 0] + whole[:, 1]).all()
    assert train.var["feature_id"].tolist()[0] == GENES[1]
    assert vocab.gene_to_ens["S0"] == vocab.gene_to_ens["S1"] == GENES[1]
    assert vocab.genes == tuple(GENES[1:35])
    assert re.search(r"^merged +1 ", capsys.readouterr().out, re.MULTILINE)
    statuses = pd.read_csv(folder / "genes.csv")
    assert statuses["status"].tolist() == ["mapped", "merged", *["mapped"] * 33, *["dropped"] * 5]
    assert statuses["counts"].sum() == dataset().X.sum()


def test_a_vocabulary_and_medians_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocab, medians = tmp_path / "tokens.json", tmp_path / "medians.json"
    tokens = ["<pad>", "<mask>", *GENES[:30]]
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    medians.write_text(json.dumps(dict.fromkeys(GENES, 2.0)))
    folder = run(dataset(), tmp_path, vocab=vocab, medians=medians)
    _, _, written = read(folder, "test")
    assert written.tokens[:3] == ("[PAD]", "[MASK]", GENES[0])
    assert set(written.medians.values()) == {2.0}
    assert "note: " in capsys.readouterr().out


def test_too_few_counts_on_known_genes_are_an_error(tmp_path: Path) -> None:
    vocab = tmp_path / "genes.txt"
    vocab.write_text("\n".join([*SPECIAL_TOKENS, *GENES[:3]]))
    with pytest.raises(ValueError, match=r"only \d+\.\d% of the counts.*gene_names"):
        run(dataset(), tmp_path, vocab=vocab)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"time_key": "week"}, KeyError, "it has: day"),
        ({"layer": "spliced"}, KeyError, "no layer"),
        ({"time_order": ("D0", "D2")}, ValueError, "not named: 'D10'"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, ValueError, "to train on"),
        ({"num_neighbors": 0}, ValueError, "num_neighbors must be positive"),
        ({"time_key": None}, ValueError, "give --time_key, or --method:\n  time"),
        ({"method": ("velocity",)}, ValueError, "there is no method 'velocity'"),
        ({"method": ("time", "time")}, ValueError, "can be given once"),
        ({"method": ("precomputed",)}, ValueError, "needs --obsp_key"),
        ({"method": ("precomputed",), "obsp_key": "v"}, KeyError, "no matrix 'v'"),
        ({"method": ("pseudotime",)}, ValueError, "needs --pseudotime_key"),
        ({"method": ("trajectory",), "root": "D0"}, ValueError, "needs --cluster_key"),
        ({"method": ("time", "knn"), "neighbor_key": "a"}, ValueError, "names a single graph"),
        ({"test_groups": ("D0",)}, ValueError, "test_groups need split_by"),
        ({"split_by": "day"}, ValueError, "is the time: name the time points"),
        ({"split_by": "donor"}, KeyError, "split_by: obs of the input has no column 'donor'"),
        ({"split_by": "donor", "duplicates": "move"}, ValueError, "would tear the groups"),
        ({"use_rep": "X_umap"}, KeyError, "no array 'X_umap'"),
        ({"vocab": "geneformer-gc31M"}, FileNotFoundError, "expected data, geneformer-gc30M"),
        ({"min_mapped_counts": 2.0}, ValueError, "must be in"),
    ],
)
def test_wrong_settings(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(dataset(), tmp_path, **settings)


@pytest.mark.parametrize(
    ("bad", "message"),
    [(np.log1p, "log-normalised"), (lambda x: x - 1, "negative"), (lambda x: x * np.nan, "NaN")],
)
def test_values_that_are_no_counts(tmp_path: Path, bad: Any, message: str) -> None:
    counts = bad(dataset().X.toarray()).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        run(dataset(X=counts), tmp_path)


def test_nothing_is_left_behind_by_a_run_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no array"):
        run(dataset(), tmp_path, use_rep="X_umap")
    assert [path.name for path in tmp_path.iterdir()] == ["input.h5ad"]


def test_all_cells_of_one_time(tmp_path: Path) -> None:
    cells = dataset()
    cells.obs["day"] = "D1"
    with pytest.raises(ValueError, match="at least two time points"):
        run(cells, tmp_path)


def test_the_command_line(tmp_path: Path) -> None:
    path = write(dataset(), tmp_path)
    output = str(tmp_path / "out")
    arguments = ["--output_dir", output, "--time_key", "day", "--pictures", "no"]
    arguments += ["--time_order", "D10", "D2", "D0"]
    assert main(["prepare", str(path), *arguments]) == 0
    cells, graphs, _ = read(tmp_path / "out", "train")
    starts = {cells.obs["day"][cell] for cell in graphs["next_cell_ids"]}
    assert starts == {"D10", "D2"}


def test_the_graph_of_time_has_its_second_name(prepared: Path) -> None:
    cells, graphs, _ = read(prepared, "train")
    assert graphs["temporal_neighbors"] == graphs["next_cell_ids"]
    assert (cells.obsp["temporal_neighbors"] != cells.obsp["next_cell_ids"]).nnz == 0


@pytest.mark.slow  # scanpy compiles what it needs
def test_several_methods_have_graphs_of_their_own(tmp_path: Path) -> None:
    folder = run(
        dataset(), tmp_path, method=("time", "pseudotime", "knn"), root="D0", cluster_key="day"
    )
    keys = {"next_cell_ids", "temporal_neighbors", "pseudotime_neighbors", "knn_neighbors"}
    for split in SPLITS:
        cells, graphs, _ = read(folder, split)
        assert set(graphs) == set(cells.obsp) == keys
        assert cells.uns["pseudotime_neighbors"]["params"]["root"] == "D0"


@pytest.mark.slow
def test_graphs_are_measured_and_drawn(tmp_path: Path) -> None:
    folder = run(dataset(), tmp_path, pictures=True, num_neighbors=2)
    report = json.loads((folder / "graph_report" / "graph_report.json").read_text())
    assert set(report["graphs"]["next_cell_ids"]) == set(SPLITS)
    assert report["graphs"]["next_cell_ids"]["train"]["direction"]["forward"] == 1
    assert (folder / "graph_report" / "next_cell_ids_test.png").stat().st_size > 10_000


def test_two_inputs_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dataset()
    paths = []
    for number, rows in enumerate((slice(0, 90, 2), slice(1, 90, 2))):
        part = whole[rows].copy()
        part.obs_names = [f"c{i}" for i in range(45)]
        paths.append(write(part[:, number : 38 + number].copy(), tmp_path / f"part{number}"))
    paths[1] = paths[1].rename(paths[1].with_name("other.h5ad"))
    folder = prepare(
        input=paths,
        output_dir=tmp_path / "data",
        time_key="day",
        split_by="source_file",
        test_groups=("other",),
        val_fraction=0,
        pictures=False,
    )
    train, _, vocab = read(folder, "train")
    test, _, _ = read(folder, "test")
    assert train.obs_names[0] == "c0-input"
    assert set(test.obs["source_file"]) == {"other"}
    assert vocab.genes == tuple(GENES[:38])
    expected = whole[0:90:2].X.toarray()
    expected[:, 38:] = 0
    assert (train.X.toarray() == expected[:, :39]).all()
    report = " ".join(capsys.readouterr().out.split())
    assert "2 genes are not in all inputs" in report
    assert "every id is followed by the name of its file" in report


def test_coordinates_of_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    folder = run(dataset(obsm={"X_mine": points}), tmp_path, use_rep="X_mine", num_neighbors=1)
    cells, _, _ = read(folder, "test")
    assert (cells.obsm["X_mine"] == points[[int(name[1:]) for name in cells.obs_names]]).all()
    assert "X_pca" not in cells.obsm
    assert "computed before the split" in capsys.readouterr().out


@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix])
def test_sparse_tables_of_obsm_are_kept(tmp_path: Path, layout: Any) -> None:
    table = layout(np.random.default_rng(0).integers(2, size=(90, 5)))
    cells = dataset(obsm={"X_clone": table})
    with pytest.raises(ValueError, match=r"obsm\['X_clone'\] is a sparse table of 5 columns"):
        run(cells, tmp_path / "a", use_rep="X_clone")
    found, _, _ = read(run(cells, tmp_path / "b", num_neighbors=1), "test")
    rows = [int(name[1:]) for name in found.obs_names]
    assert (found.obsm["X_clone"].toarray() == table.toarray()[rows]).all()


def test_a_split_without_a_next_time_point_has_no_edges_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = dataset()
    cells.obs["donor"] = ["early" if day == "D0" else "late" for day in cells.obs["day"]]
    folder = run(cells, tmp_path, split_by="donor", test_groups=("early",), val_fraction=0)
    assert read(folder, "test")[1]["next_cell_ids"] == {}
    assert "next_cell_ids, test: no edges: successors in time" in capsys.readouterr().out


@pytest.mark.slow
def test_geneformers_own_vocabulary(real_data: Path, tmp_path: Path) -> None:
    folder = prepare(
        input=real_data / "ipsc_cm_human.h5ad",
        output_dir=tmp_path / "data",
        time_key="day",
        vocab="geneformer-gc30M",
        dictionaries=real_data / "geneformer_dictionaries",
        pictures=False,
    )
    cells, _, vocab = read(folder, "train")
    assert len(vocab) == 25426 + 3
    assert vocab.decode(vocab.encode(["TNNT2"])) == ["ENSG00000118194"]
    statuses = pd.read_csv(folder / "genes.csv").groupby("status")["share"].sum()
    assert statuses["mapped"] > 0.9
    assert cells.var.loc["TNNT2", "feature_id"] == "ENSG00000118194"


def test_log_normalised_cells_are_refused(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "erythroid_mouse_lognorm.h5ad"
    settings = {"method": ("pseudotime",), "pseudotime_key": "ptime"}
    with pytest.raises(ValueError, match=r"look log-normalised.*where the data were published"):
        prepare(input=path, output_dir=tmp_path / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_a_pseudotime_from_a_root_is_kept_and_edges_follow_it(tmp_path: Path) -> None:
    folder = run(
        dataset(), tmp_path, time_key=None, method=("pseudotime",), root="D0", cluster_key="day"
    )
    for split in ("train", "test"):
        cells = anndata.read_h5ad(folder / split / "data.h5ad")
        pseudotime = cells.obs["dpt_pseudotime"].to_numpy()
        edges = cells.obsp["pseudotime_neighbors"].tocoo()
        assert edges.nnz
        assert (pseudotime[edges.col] > pseudotime[edges.row]).all()
    assert recorded_options(folder)["time_key"] == "dpt_pseudotime"
