"""What a data folder holds is listed whoever made it; what it lacks is named."""

import json
import shutil

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.inventory import IN_ARCHIVE, stored_graphs, take_inventory
from bionemo.geneformer_t.vocab import GeneVocab


def test_splits_graphs_and_coverage_are_counted(tiny_data_dir):
    data = take_inventory(tiny_data_dir)
    assert data.made_by is None
    assert list(data.splits) == ["train", "val", "test"]
    train = data.splits["train"]
    assert train.graphs == dict.fromkeys(
        ("next_cell_ids", "trajectory_neighbors", "temporal_neighbors"), 77
    )
    counts = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad").X.toarray()
    assert train.genes_known == 28
    assert train.counts_known == pytest.approx(counts[:, :28].sum() / counts.sum())
    assert train.genes_per_cell == int(np.median((counts[:, :28] > 0).sum(axis=1)))
    assert train.empty_cells == 0
    assert train.own_vocab.fingerprint == data.vocab.fingerprint


def test_another_vocabulary_can_read_the_same_folder(tiny_data_dir):
    vocab = GeneVocab.of_genes({f"ENSG{i:011d}": 1.0 for i in range(3)})
    data = take_inventory(tiny_data_dir, vocab)
    assert data.splits["val"].genes_known == 3
    assert data.splits["val"].genes_per_cell <= 3
    assert data.vocab.fingerprint != vocab.fingerprint
    none = take_inventory(tiny_data_dir, GeneVocab.of_genes({"other": 1.0}))
    assert none.splits["val"].counts_known == 0
    assert none.splits["val"].empty_cells == 16


def test_graphs_in_obsp_are_listed_beside_those_in_json(write_split, counts):
    graph = sp.csr_matrix(np.eye(5, k=1))
    split = write_split(
        counts, neighbors={"neighbors": {"c0": ["c1"]}}, obsp={"near": graph, "full": np.eye(5)}
    )
    store = CellStore.open(split)
    assert stored_graphs(split, store) == {"full": 5, "near": 4, "neighbors": 1}


def test_an_archive_serves_any_key(write_split, counts, tmp_path):
    store = CellStore.open(write_split(counts))
    archive = tmp_path / "archive"
    shutil.copytree(store.archive, archive)
    assert stored_graphs(archive, CellStore.open(archive)) == {}
    types = {"indices": np.uint32, "indptr": np.uint64, "values": np.float32}
    content = {"indices": [1, 2], "indptr": [0, 1, 2, 2, 2, 2], "values": [1, 1]}
    for name, values in content.items():
        np.array(values, types[name]).tofile(archive / f"neighbor_{name}.npy")
    assert stored_graphs(archive, CellStore.open(archive)) == {IN_ARCHIVE: 2}


def test_a_folder_without_splits_is_named_with_what_it_holds(tiny_data_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds none of train, val, test, only nothing"):
        take_inventory(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="This is one split; give the folder above it"):
        take_inventory(tiny_data_dir / "train")
    with pytest.raises(FileNotFoundError, match="expected a data folder at"):
        take_inventory(tmp_path / "none")


def test_training_cells_without_a_vocabulary_are_refused(tiny_data_dir):
    (tiny_data_dir / "train" / "medians.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no geneformer\.vocab with medians\.json"):
        take_inventory(tiny_data_dir)


@pytest.mark.parametrize("content", [[1], {"key": ["c1"]}])
def test_neighbors_that_are_no_graphs_are_refused(tiny_data_dir, content):
    (tiny_data_dir / "val" / "neighbors.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"neighbors\.json must hold \{key"):
        take_inventory(tiny_data_dir)


def test_a_truncated_file_is_named(tiny_data_dir):
    path = tiny_data_dir / "val" / "data.h5ad"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"val/data\.h5ad cannot be read"):
        take_inventory(tiny_data_dir)
