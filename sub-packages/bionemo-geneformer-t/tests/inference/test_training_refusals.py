"""What `train` refuses before its first step `doctor` finds, with the same words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.scdl import survey, write_archive
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.inference.training_refusals import compare
from bionemo.geneformer_t.run.doctor import doctor


def graphs(split: str, content: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / split / "neighbors.json").write_text(json.dumps(content))

    return write


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def cells(split: str, change: Callable[[anndata.AnnData], None]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        data = anndata.read_h5ad(folder / split / "data.h5ad")
        change(data)
        data.write_h5ad(folder / split / "data.h5ad")

    return rewrite


def set_counts(value: float) -> Callable[[anndata.AnnData], None]:
    def change(data: anndata.AnnData) -> None:
        data.X = sp.csr_matrix(np.full(data.shape, value, dtype=np.float32))

    return change


def other_genes(data: anndata.AnnData) -> None:
    data.var = data.var.set_index(np.array([f"OTHER{i}" for i in range(data.n_vars)]))
    data.var["feature_id"] = [f"ENSMUSG{i:011d}" for i in range(data.n_vars)]


def same_names(data: anndata.AnnData) -> None:
    data.obs_names = ["twice"] * 2 + list(data.obs_names[2:])


def bad_obsp(folder: Path) -> None:
    without("train/neighbors.json")(folder)
    size = 40
    matrix = sp.csr_matrix(([-1.0], ([0], [1])), shape=(size, size))
    cells("train", lambda data: data.obsp.__setitem__("next_cell_ids", matrix))(folder)


def truncated(folder: Path) -> None:
    path = folder / "val" / "data.h5ad"
    path.write_bytes(path.read_bytes()[:3000])


def without_names(split: str) -> Callable[[Path], None]:
    """The cells as an SCDL archive that does not name them."""

    def convert(folder: Path) -> None:
        h5ad, archive = folder / split / "data.h5ad", folder / split / "scdl"
        with h5ad_source(h5ad) as source:
            write_archive(source, survey(source), archive)
        h5ad.unlink()
        table = next((archive / "obs_features").rglob("*.parquet"))
        pd.DataFrame({"day": [0] * len(pd.read_parquet(table))}).to_parquet(table)

    return convert


def without_table(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        without_names("train")(folder)
        without(f"train/scdl/{name}")(folder)

    return remove


def unknown_encoding(folder: Path) -> None:
    with h5py.File(folder / "train" / "data.h5ad", "a") as file:
        file["var/feature_id"].attrs["encoding-type"] = "polars-series"


def of_type(kind: str) -> Callable[[anndata.AnnData], None]:
    return lambda data: data.var.__setitem__("feature_types", kind)


EDGE = {"train_0": ["train_1"]}
BROKEN: dict[str, Callable[[Path], None]] = {
    "ids of other cells": graphs("train", {"next_cell_ids": {"other_0": ["other_1"]}}),
    "a ghost successor": graphs("train", {"next_cell_ids": {"train_0": ["ghost"]}}),
    "an empty graph": graphs("train", {"next_cell_ids": {}}),
    "lists without cells": graphs("train", {"next_cell_ids": {"train_0": []}}),
    "only the cell itself": graphs("train", {"next_cell_ids": {"train_0": ["train_0"]}}),
    "an empty graph in val": graphs("val", {"next_cell_ids": {}}),
    "ids of other cells in val": graphs("val", {"next_cell_ids": EDGE}),
    "a ghost in test": graphs("test", {"next_cell_ids": EDGE}),
    "no graph at all": graphs("train", {}),
    "no graph file": without("train/neighbors.json"),
    "no graph file in val": without("val/neighbors.json"),
    "another key in val": graphs("val", {"knn_neighbors": {"val_0": ["val_1"]}}),
    "a graph that is a list": graphs("train", {"next_cell_ids": [1]}),
    "a file that is a list": graphs("train", [1]),
    "successors that are text": graphs("train", {"next_cell_ids": {"train_0": "train_1"}}),
    "null for successors": graphs("train", {"next_cell_ids": {"train_0": None}}),
    "a number for successors": graphs("train", {"next_cell_ids": {"train_0": 1}}),
    "numbers for ids": graphs("train", {"next_cell_ids": {"train_0": [1]}}),
    "a negative weight": graphs("train", {"next_cell_ids": {"train_0": {"train_1": -1}}}),
    "a weight in quotes": graphs("train", {"next_cell_ids": {"train_0": {"train_1": "1"}}}),
    "a graph that is cut": text("train/neighbors.json", '{"next_cell_ids": {'),
    "a negative weight in obsp": bad_obsp,
    "no training cells": without("train"),
    "no file of cells": without("train/data.h5ad"),
    "no file of cells in val": without("val/data.h5ad"),
    "cells that are cut": truncated,
    "cells of one name": cells("train", same_names),
    "counts of a half": cells("train", set_counts(0.5)),
    "no counts": cells("test", set_counts(0)),
    "unknown genes": cells("train", other_genes),
    "unknown genes in test": cells("test", other_genes),
    "no genes": cells("train", of_type("Antibody Capture")),
    "no genes in val": cells("val", of_type("Peaks")),
    "a column of an unknown encoding": unknown_encoding,
    "an archive without names": without_names("train"),
    "an archive without names in val": without_names("val"),
    "an archive without names in test": without_names("test"),
    "an archive that lost its names": without_table("obs_features"),
    "an archive that lost its genes": without_table("var_features"),
    "no vocabulary": without("train/geneformer.vocab"),
    "no medians": without("train/medians.json"),
    "a vocabulary that is cut": text("train/geneformer.vocab", '{"vocab": {'),
    "no special tokens": text("train/geneformer.vocab", '{"vocab": {"a": 0}}'),
    "medians of nothing": text("train/medians.json", "{}"),
    "other medians in val": text("val/medians.json", '{"ENSG00000000000": 3.0}'),
    "a median of zero": text(
        "train/medians.json", json.dumps({f"ENSG{i:011d}": 0 for i in range(28)})
    ),
}


def by_numbers(folder: Path) -> None:
    """A graph by the numbers that cells of an archive without names go by."""
    without_names("train")(folder)
    graphs("train", {"next_cell_ids": {"0": ["1"], "1": ["2"]}})(folder)


SOUND: dict[str, Callable[[Path], None]] = {
    "an archive without names, and its graph by numbers": by_numbers,
    "as it is": lambda _: None,
    "without val": without("val"),
    "without test": without("test"),
    "without vocabulary in val": without("val/geneformer.vocab", "val/medians.json"),
    "under the key of all": graphs("train", {"neighbors": EDGE}),
    "an empty graph in test": graphs("test", {"next_cell_ids": {}}),
}


def train_refuses(folder: Path) -> str | None:
    """What a run does before it builds a model."""
    try:
        data = TemporalGeneformerDataModule(folder, token_cache=False)
        data.prepare_data()
        data.setup("fit")
        assert data.provenance.num_edges
    except (ValueError, KeyError, OSError) as error:
        return str(error.args[0] if isinstance(error, KeyError) else error)
    return None


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.slow
def test_doctor_finds_what_train_refuses(tiny_data_dir, name, capsys):
    BROKEN[name](tiny_data_dir)
    refused = train_refuses(tiny_data_dir)
    assert refused is not None
    found = doctor(first=tiny_data_dir, neighbor_key="next_cell_ids")
    assert found.exit_code == 1
    wrong = [finding.text for finding in found.findings if finding.verdict == "wrong"]
    assert any(refused in text for text in wrong), (refused, wrong)
    assert "NO    " in capsys.readouterr().out
    assert doctor(first=tiny_data_dir).exit_code == 1


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.slow
def test_doctor_finds_nothing_where_train_trains(tiny_data_dir, name):
    SOUND[name](tiny_data_dir)
    assert train_refuses(tiny_data_dir) is None
    found = doctor(first=tiny_data_dir)
    assert found.is_sound, found.findings


def test_all_that_is_wrong_is_found_at_once(tiny_data_dir):
    for name in ("a ghost successor", "an empty graph in val", "no counts"):
        BROKEN[name](tiny_data_dir)
    wrong = [finding.text for finding in compare(tiny_data_dir) if finding.verdict == "wrong"]
    assert any("train would refuse train: " in text and "ghost" in text for text in wrong)
    assert any("train would refuse val: no cell of" in text for text in wrong)
    assert any("train would refuse test: " in text and "zero" in text for text in wrong)
    assert len(wrong) == len(set(wrong))


def test_every_graph_of_a_folder_is_looked_at(tiny_data_dir):
    path = tiny_data_dir / "train" / "neighbors.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "knn_neighbors": {"train_0": ["ghost"]}}))
    wrong = [finding.text for finding in compare(tiny_data_dir) if finding.verdict == "wrong"]
    assert any("'knn_neighbors' names 1 successors that are no cells" in text for text in wrong)
    assert not [f for f in compare(tiny_data_dir, "next_cell_ids") if f.verdict == "wrong"]


def test_a_folder_of_other_keys_says_which_to_train_with(tiny_data_dir):
    for split in ("train", "val", "test"):
        path = tiny_data_dir / split / "neighbors.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({"temporal_neighbors": content["temporal_neighbors"]}))
    (note,) = compare(tiny_data_dir)
    assert note.verdict == "note"
    assert "train with --neighbor_key temporal_neighbors" in note.text


def test_a_test_split_without_pairs_has_no_scores(tiny_data_dir):
    SOUND["an empty graph in test"](tiny_data_dir)
    notes = [finding.text for finding in compare(tiny_data_dir, "next_cell_ids")]
    assert len(notes) == 1
    assert notes[0].startswith("a run could train, but would have no scores at its end: no cell of")
