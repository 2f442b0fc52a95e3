import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.successors import read_successors, successor_keys

WriteSplit = Callable[..., Path]

NEXT = {"c0": ["c1", "c2"], "c2": ["c3"]}


def edges(
    split: Path, key: str = "next_cell_ids"
) -> tuple[dict[tuple[int, int], float], dict[str, int]]:
    graph, dropped = read_successors(split, CellStore.open(split), key)
    matrix = graph.to_matrix().tocoo()
    pairs = zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True)
    return {(row, column): weight for row, column, weight in pairs}, dropped


def obsp(weight: float = 0.5, size: int = 5) -> sp.csr_matrix:
    return sp.csr_matrix(([weight], ([0], [4])), shape=(size, size))


def test_lists_have_weight_one(write_split: WriteSplit) -> None:
    found, dropped = edges(write_split(neighbors={"next_cell_ids": NEXT}))
    assert found == {(0, 1): 1.0, (0, 2): 1.0, (2, 3): 1.0}
    assert sum(dropped.values()) == 0


def test_weights_may_be_given(write_split: WriteSplit) -> None:
    weighted = {"c4": {"c0": 0.25, "c1": 3}, "c1": ["c0"], "c3": []}
    found, _ = edges(write_split(neighbors={"next_cell_ids": weighted}))
    assert found == {(4, 0): 0.25, (4, 1): 3.0, (1, 0): 1.0}


def test_what_is_no_successor_is_dropped_and_counted(write_split: WriteSplit) -> None:
    listed = {"c0": ["c1", "c1", "c0", "c1"], "c1": {"c2": 0.0, "c3": 2.0, "c1": 1.0}}
    found, dropped = edges(write_split(neighbors={"next_cell_ids": listed}))
    assert found == {(0, 1): 1.0, (1, 3): 2.0}
    assert dropped == {"duplicate": 2, "self-loop": 2, "zero weight": 1}


@pytest.mark.parametrize(
    ("in_json", "in_obsp", "expected"),
    [
        (["asked", "neighbors"], ["asked"], "json"),
        (["neighbors"], [], "json"),
        (["neighbors"], ["asked"], "obsp"),
        (["neighbors", "other"], ["other"], "json"),
        ([], ["asked"], "obsp"),
        (None, ["asked"], "obsp"),
    ],
)
def test_the_key_asked_for_comes_before_the_one_for_any(
    write_split: WriteSplit, in_json: list[str] | None, in_obsp: list[str], expected: str
) -> None:
    other = {"c3": ["c4"]}
    neighbors = (
        None
        if in_json is None
        else {key: NEXT if key in {"asked", "neighbors"} else other for key in in_json}
    )
    split = write_split(neighbors=neighbors, obsp={key: obsp() for key in in_obsp})
    found, _ = edges(split, "asked")
    assert set(found) == ({(0, 4)} if expected == "obsp" else {(0, 1), (0, 2), (2, 3)})


def test_an_absent_key_lists_those_that_exist(write_split: WriteSplit) -> None:
    split = write_split(neighbors={"next_cell_ids": NEXT, "knn": {}}, obsp={"paths": obsp()})
    with pytest.raises(KeyError, match=r"'absent'.*holds next_cell_ids, knn.*holds paths"):
        edges(split, "absent")
    with pytest.raises(KeyError, match=r"neighbors\.json does not exist, obsp.*holds none"):
        edges(write_split(folder="bare"), "absent")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"c0": ["c1", "x1", "x2"], "c1": ["x1"]}, r"2 successors that are no cells.*'x1', 'x2'"),
        ({"y1": ["c1"]}, r"1 cells that are no cells of this split \('y1'\)"),
        ({"c0": "c1"}, "the successors of 'c0' must be a list.*got 'c1'"),
        ({"c0": [1]}, "cell ids in quotes; 'c0' has 1"),
        ({"c0": {"c1": "0.5"}}, "weights are numbers; successor 'c1' of 'c0' has '0.5'"),
        ({"c0": {"c1": True}}, "weights are numbers"),
        ({"c0": {"c1": -0.5}}, "must be finite and not negative"),
        ({"c0": {"c1": float("nan")}}, "must be finite and not negative"),
        (["c0"], "must map each cell id to its successors; got a list"),
    ],
)
def test_wrong_successors_are_named_with_their_place(
    write_split: WriteSplit, listed: Any, message: str
) -> None:
    split = write_split(neighbors={"next_cell_ids": listed})
    with pytest.raises(ValueError, match=rf"neighbors\.json: 'next_cell_ids'.*{message}"):
        edges(split)


def test_a_list_in_place_of_keys_is_refused(write_split: WriteSplit) -> None:
    with pytest.raises(ValueError, match=r"must hold \{key: .*got a list"):
        edges(write_split(neighbors=["c0"]))


def test_truncated_json_is_named(write_split: WriteSplit) -> None:
    split = write_split()
    (split / "neighbors.json").write_text(json.dumps({"next_cell_ids": NEXT})[:-5])
    with pytest.raises(ValueError, match=r"neighbors\.json is not valid JSON.*truncated"):
        edges(split)


def test_matrices_may_be_dense(write_split: WriteSplit) -> None:
    found, _ = edges(write_split(obsp={"next_cell_ids": obsp().toarray()}))
    assert found == {(0, 4): 0.5}


@pytest.mark.parametrize("weight", [-1.0, np.inf])
def test_wrong_weights_of_a_matrix_are_refused(write_split: WriteSplit, weight: float) -> None:
    split = write_split(obsp={"next_cell_ids": obsp(weight)})
    with pytest.raises(ValueError, match=r"obsp\['next_cell_ids'\].*not negative"):
        edges(split)


def test_an_archive_brings_its_own_neighbors(write_split: WriteSplit, tmp_path: Path) -> None:
    h5ad = write_split(obsp={"next_cell_ids": obsp()}) / "data.h5ad"
    archive = tmp_path / "archive"
    SingleCellMemMapDataset(str(archive), str(h5ad), use_X_not_raw=True, load_neighbors=True)
    assert edges(archive)[0] == {(0, 4): 0.5}
    (archive / "neighbors.json").write_text(json.dumps({"neighbors": {"0": ["3"], "c0": []}}))
    with pytest.raises(ValueError, match="no cells of this split"):
        edges(archive)


def test_many_successors_are_read_in_one_go(write_split: WriteSplit) -> None:
    num_cells = 20_000
    listed = {f"c{i}": [f"c{(i + k) % num_cells}" for k in range(1, 6)] for i in range(num_cells)}
    split = write_split(
        sp.csr_matrix(np.ones((num_cells, 1), dtype=np.float32)),
        neighbors={"next_cell_ids": listed},
    )
    graph, _ = read_successors(split, CellStore.open(split), "next_cell_ids")
    assert graph.num_edges == 5 * num_cells
    assert set(graph.successors(7)[0]) == {8, 9, 10, 11, 12}


def test_keys_of_a_split_are_those_of_its_file(tiny_data_dir: Path) -> None:
    split = tiny_data_dir / "train"
    listed = ("next_cell_ids", "trajectory_neighbors", "temporal_neighbors")
    assert successor_keys(split) == listed
    (split / "neighbors.json").unlink()
    assert successor_keys(split) == ()
    cells = anndata.read_h5ad(split / "data.h5ad")
    cells.obsp["velocity"] = sp.eye_array(40, k=1).tocsr()
    cells.write_h5ad(split / "data.h5ad")
    assert successor_keys(split) == ("velocity",)
