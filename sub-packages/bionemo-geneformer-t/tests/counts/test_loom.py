"""Loom files of anndata, pySCENIC and velocyto: names are found, what is no column is left out."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, open_input

COUNTS = np.array([[3, 0, 1], [0, 5, 1], [2, 2, 0], [1, 0, 4]])  # genes x cells
IDS, CELLS = [f"ENSG{i:011d}" for i in range(4)], ["a", "b", "c"]


def write(path: Path, genes: str = "Gene", cells: str = "CellID", **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["matrix"] = COUNTS
        file[f"row_attrs/{genes}"], file[f"col_attrs/{cells}"] = IDS, CELLS
        for name, values in attributes.items():
            file[f"col_attrs/{name}"] = values
    return path


def read(path: Path, **choice: Any) -> tuple[InputFile, np.ndarray]:
    with open_input(path, MatrixChoice(**choice)) as opened:
        (block,) = opened.counts.blocks()
        return opened, block.counts.toarray()


@pytest.mark.parametrize(
    ("genes", "cells"),
    [("Gene", "CellID"), ("gene_id", "barcode"), ("var_names", "obs_names"), ("gen", "zelle")],
)
def test_the_attribute_that_names_cells_or_genes_is_found(
    tmp_path: Path, genes: str, cells: str
) -> None:
    opened, counts = read(write(tmp_path / "a.loom", genes, cells, day=["D0", "D0", "D1"]))
    assert opened.obs.index.tolist() == CELLS
    assert opened.var.index.tolist() == IDS
    assert opened.obs["day"].tolist() == ["D0", "D0", "D1"]
    assert opened.left_out == ()
    np.testing.assert_array_equal(counts, COUNTS.T)


def test_several_attributes_that_may_name_the_cells_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.loom", cells="zelle", name=["x", "y", "z"])
    with pytest.raises(ValueError, match=r"does not name its cells.*several hold unique text: "):
        read(path)


def test_what_is_no_column_is_left_out_with_a_note(tmp_path: Path) -> None:
    scores = np.zeros(3, dtype=[("TF1", "f8"), ("TF2", "f8")])
    path = write(tmp_path / "a.loom", RegulonsAUC=scores, X_umap=np.zeros((3, 2)), n=[1, 2, 3])
    opened, _ = read(path)
    assert list(opened.obs) == ["n"]
    (note,) = opened.left_out
    assert "attributes of cells" in note
    assert "RegulonsAUC, X_umap; left out" in note


def test_an_attribute_of_another_length_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'n' has 2 values, and the matrix 3 cells"):
        read(write(tmp_path / "a.loom", n=[1, 2]))


def test_files_of_velocyto_say_which_counts_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.loom")
    with h5py.File(path, "r+") as file:
        file["layers/spliced"], file["layers/unspliced"] = COUNTS - COUNTS // 2, COUNTS // 2
    total, counts = read(path)
    np.testing.assert_array_equal(counts, COUNTS.T)
    assert "its matrix was taken, in velocyto's files the total of" in total.notes[0]
    assert "--layer spliced takes spliced counts alone" in total.notes[0]
    spliced, counts = read(path, layer="spliced")
    np.testing.assert_array_equal(counts, (COUNTS - COUNTS // 2).T)
    assert "spliced counts were taken, not the total" in spliced.notes[0]
