"""A run resumes on its own data, wherever they lie now, and refuses others by what differs."""

import json
import shutil
from dataclasses import replace

import anndata
import pytest

from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.resume_point import differences

SMALL = {
    "seq_length": 64, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24, "num_workers": 0, "accelerator": "cpu", "final_evaluation": False,
}  # fmt: skip


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, "num_epochs": 1, **settings}
    )


def change_a_count(folder):
    cells = anndata.read_h5ad(folder / "data.h5ad")
    cells.X[3, 5] += 1
    cells.write_h5ad(folder / "data.h5ad")


def rename_a_cell(folder):
    cells = anndata.read_h5ad(folder / "data.h5ad")
    cells.obs_names = ["another", *cells.obs_names[1:]]
    cells.write_h5ad(folder / "data.h5ad")
    graphs = (folder / "neighbors.json").read_text()
    (folder / "neighbors.json").write_text(graphs.replace('"train_0"', '"another"'))


def drop_an_edge(folder):
    graphs = json.loads((folder / "neighbors.json").read_text())
    graphs["next_cell_ids"]["train_0"].pop()
    (folder / "neighbors.json").write_text(json.dumps(graphs))


def change_a_median(folder):
    medians = json.loads((folder / "medians.json").read_text())
    medians[min(medians)] *= 2
    for split in ("train", "val", "test"):
        (folder.parent / split / "medians.json").write_text(json.dumps(medians))


@pytest.mark.filterwarnings("ignore:.*changing the sparsity structure")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_a_count, r"other training cells or counts \(40 cells of tiny_data then, 40 of"),
        (rename_a_cell, "other training cells or counts"),
        (drop_an_edge, r"another graph \(77 edges under 'next_cell_ids' then, 76 under"),
        (change_a_median, "another vocabulary or other medians"),
    ],
)
@pytest.mark.slow
def test_other_data_are_refused_by_what_differs(tiny_data_dir, tmp_path, change, message):
    train(tiny_data_dir, tmp_path / "run")
    before = (tmp_path / "run" / "metrics.csv").read_text()
    change(tiny_data_dir / "train")
    with pytest.raises(ValueError, match=rf"last\.ckpt was trained on other data .*{message}"):
        train(tiny_data_dir, tmp_path / "run", num_epochs=2, resume_from_checkpoint="last")
    assert (tmp_path / "run" / "metrics.csv").read_text() == before


def test_another_graph_of_the_same_cells_is_other_data(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run")
    with pytest.raises(ValueError, match="under 'next_cell_ids' then, 77 under 'temporal_neighbor"):
        train(
            tiny_data_dir, tmp_path / "run", num_epochs=2, resume_from_checkpoint="last",
            neighbor_key="temporal_neighbors",
        )  # fmt: skip


def test_the_same_data_may_lie_elsewhere(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run")
    shutil.move(tiny_data_dir, tmp_path / "moved")
    train(tmp_path / "moved", tmp_path / "run", num_epochs=2, resume_from_checkpoint="last")


def test_what_is_the_same_is_not_named():
    before = Provenance(
        data_name="d", data_fingerprint="a", graph_fingerprint="b", neighbor_key="k",
        num_cells=4, num_examples=3, num_edges=5, seed=0,
    )  # fmt: skip
    assert differences(before, replace(before, data_name="elsewhere", seed=1)) == []
    assert differences(before, replace(before, objective="mlm")) == [
        "another objective (next_cell then, mlm now)"
    ]
