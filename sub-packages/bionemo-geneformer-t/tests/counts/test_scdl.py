"""What the tables of an SCDL archive say of its cells and genes is checked."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

from bionemo.geneformer_t.counts.scdl import cell_ids, gene_features


@pytest.fixture
def archive(write_split, tmp_path) -> Path:
    path = tmp_path / "archive"
    SingleCellMemMapDataset(str(path), str(write_split() / "data.h5ad"), use_X_not_raw=True)
    return path


def table(folder: Path) -> Path:
    (found,) = folder.glob("*.parquet")
    return found


def test_matrices_of_different_genes_are_refused(archive):
    genes = table(next(p for p in archive.iterdir() if p.name in {"var_features", "features"}))
    shutil.copy(genes, genes.with_name("dataframe_1.parquet"))
    with pytest.raises(ValueError, match="expected an SCDL archive with one set of genes; it hold"):
        gene_features(archive)


def test_genes_without_ids_are_refused_by_the_columns_there_are(archive):
    genes = table(next(p for p in archive.iterdir() if p.name in {"var_features", "features"}))
    pd.DataFrame({"color": ["red"] * 4}).to_parquet(genes, index=False)
    with pytest.raises(
        ValueError, match=r"expected gene ids in one of .*; the archive holds color"
    ):
        gene_features(archive)


def test_a_table_that_names_too_few_cells_is_refused(archive):
    cells = table(archive / "obs_features")
    pd.DataFrame({"cell_id": ["c0", "c1"]}).to_parquet(cells, index=False)
    with pytest.raises(ValueError, match="obs_features names 2 of 5 cells"):
        cell_ids(archive, 5)
