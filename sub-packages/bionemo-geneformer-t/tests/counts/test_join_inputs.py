"""Several inputs become one: cells below each other, genes side by side."""

from contextlib import ExitStack
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.join_inputs import InputCells, read_inputs
from bionemo.geneformer_t.counts.joined_genes import GeneChoice


def write(path: Path, genes: list[str], cells: list[str], seed: int, **obs: object) -> np.ndarray:
    counts = np.random.default_rng(seed).poisson(1, (len(cells), len(genes))).astype(np.float32)
    anndata.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(obs, index=cells),
        var=pd.DataFrame(index=genes),
        obsm={"X_umap": counts[:, :2], f"X_{path.stem}": counts[:, :1]},
        obsp={"graph": sp.csr_matrix(np.eye(len(cells)) * (seed + 1))},
    ).write_h5ad(path)
    return counts


def read(paths: list[Path], folder: Path) -> InputCells:
    names = {"OCT4": "ENSG1", "POU5F1": "ENSG1"}
    with ExitStack() as stack:
        cells = read_inputs(paths, folder / "scratch", stack, genes=GeneChoice(gene_names=names))
        cells.obsm["X_umap"].read(np.arange(len(cells.obs)))
        return cells


def test_genes_are_joined_by_id_and_absent_ones_count_nothing(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5ad", ["X", "OCT4", "Y"], ["c1", "c2"], 0)
    two = write(tmp_path / "b.h5ad", ["POU5F1", "Z", "OCT4"], ["d1"], 1)
    cells = read([tmp_path / "a.h5ad", tmp_path / "b.h5ad"], tmp_path)
    assert cells.genes.names == ("X", "ENSG1", "Y", "Z")
    expected = np.zeros((3, 4))
    expected[:2, :3] = one
    expected[2, [1, 3]] = two[0, 0] + two[0, 2], two[0, 1]
    assert (cells.counts.rows(0, 3).toarray() == expected).all()
    assert (cells.counts_of_gene == expected.sum(axis=0)).all()
    assert cells.var["feature_id"].tolist() == list(cells.genes.names)
    assert cells.var.index.tolist() == ["X", "OCT4", "Y", "Z"]
    assert cells.genes.num_inputs.tolist() == [1, 2, 1, 1]


def test_obs_says_where_a_cell_came_from(tmp_path: Path) -> None:
    write(tmp_path / "a.h5ad", ["X", "Y"], ["c1", "c2"], 0, day=[0, 1], good=[True, False])
    write(tmp_path / "b.h5ad", ["X", "Y"], ["d1"], 1, day=["late"])
    cells = read([tmp_path / "a.h5ad", tmp_path / "b.h5ad"], tmp_path)
    assert cells.obs["source_file"].tolist() == ["a", "a", "b"]
    assert cells.obs["day"].tolist() == ["0", "1", "late"]
    assert cells.obs["good"].isna().tolist() == [False, False, True]
    assert list(cells.obs.index) == ["c1", "c2", "d1"]
    assert any("not all inputs have: good" in note for note in cells.notes)
    anndata.AnnData(obs=cells.obs).write_h5ad(tmp_path / "c.h5ad")


def test_ids_of_two_files_get_the_name_of_their_file(tmp_path: Path) -> None:
    write(tmp_path / "a.h5ad", ["X", "Y"], ["c1", "c2"], 0)
    write(tmp_path / "b.h5ad", ["X", "Y"], ["c2", "c3"], 1)
    cells = read([tmp_path / "a.h5ad", tmp_path / "b.h5ad"], tmp_path)
    assert list(cells.obs.index) == ["c1-a", "c2-a", "c2-b", "c3-b"]
    assert any("1 cell ids occur in more than one input" in note for note in cells.notes)


def test_arrays_and_graphs_that_all_inputs_have_are_joined(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5ad", ["X", "Y"], ["c1", "c2"], 0)
    two = write(tmp_path / "b.h5ad", ["X", "Y"], ["d1", "d2", "d3"], 1)
    with ExitStack() as stack:
        paths = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
        cells = read_inputs(paths, tmp_path / "scratch", stack)
        umap = cells.obsm["X_umap"].read(np.array([1, 2, 4]))
        graph = cells.obsp["graph"]()
    assert (umap == np.concatenate([one, two])[[1, 2, 4], :2]).all()
    assert (graph.toarray() == np.diag([1, 1, 2, 2, 2])).all()
    assert list(cells.obsm) == ["X_umap"]
    assert sum("left out" in note for note in cells.notes) == 2


def test_the_same_input_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.h5ad", ["X", "Y"], ["c1"], 0)
    with pytest.raises(ValueError, match="can be given once"):
        read([tmp_path / "a.h5ad", tmp_path / "a.h5ad"], tmp_path)


def test_what_is_no_gene_counts_nothing_and_is_said(tmp_path: Path) -> None:
    genes = ["ERCC-00002", "CD4", "GAPDH", "CD4-1"]
    counts = write(tmp_path / "a.h5ad", genes, ["c1", "c2", "c3"], 0)
    stored = anndata.read_h5ad(tmp_path / "a.h5ad")
    stored.var["feature_types"] = ["Gene Expression"] * 3 + ["Antibody Capture"]
    stored.write_h5ad(tmp_path / "a.h5ad")
    cells = read([tmp_path / "a.h5ad"], tmp_path)
    assert cells.genes.names == ("CD4", "GAPDH")
    assert (cells.counts.rows(0, 3).toarray() == counts[:, 1:3]).all()
    assert (cells.totals == counts[:, 1:3].sum(axis=1)).all()
    assert (cells.counts_of_column[0] == counts.sum(axis=0)).all()
    assert list(cells.var.index) == ["CD4", "GAPDH"]
    share = counts[:, 0].sum() / counts.sum()
    said = f"a.h5ad: 1 spike-ins (such as ERCC-00002), with {share:.1%} of all counts, were left"
    assert any(said in note for note in cells.notes)
    assert any("1 features of type Antibody Capture" in note for note in cells.notes)
