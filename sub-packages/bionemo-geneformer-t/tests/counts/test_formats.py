"""Every format gives the same counts; anything but counts is refused with a way out."""

import gzip
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from bionemo.geneformer_t.counts.checks import NotCountsError
from bionemo.geneformer_t.counts.formats import MatrixChoice
from bionemo.geneformer_t.counts.join_inputs import InputCells, read_inputs
from bionemo.geneformer_t.counts.joined_genes import GeneChoice

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(0.8, size=(7, 5)).astype(np.float32)
CELLS = [f"c{i}" for i in range(7)]
IDS = [f"ENSG{i:011d}" for i in range(5)]
SYMBOLS = [f"S{i}" for i in range(5)]


def read(path: Path, folder: Path, **options: Any) -> InputCells:
    with ExitStack() as stack:
        return read_inputs([path], folder / "scratch", stack, choice=MatrixChoice(**options))


def counts_of(path: Path, folder: Path, **options: Any) -> np.ndarray:
    cells = read(path, folder, **options)
    return cells.counts.rows(0, cells.counts.num_cells).toarray()


def adata(x: object, *, raw: bool = False, **layers: np.ndarray) -> anndata.AnnData:
    obs = pd.DataFrame({"day": range(7)}, index=CELLS)
    var = pd.DataFrame({"feature_id": IDS}, index=SYMBOLS)
    cells = anndata.AnnData(x, obs=obs, var=var, layers=layers)
    if raw:
        cells.raw = anndata.AnnData(sp.csr_matrix(COUNTS), obs=obs, var=var)
    return cells


def write(path: Path, x: object = None, *, raw: bool = False, **layers: np.ndarray) -> Path:
    adata(COUNTS if x is None else x, raw=raw, **layers).write_h5ad(path)
    return path


def write_tenx(path: Path, *, version: int = 3) -> Path:
    """Genes and an antibody between them, genes x cells by columns."""
    whole = np.insert(COUNTS, 2, 99, axis=1) if version == 3 else COUNTS
    matrix = sp.csc_matrix(whole.T.astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"], group["barcodes"] = matrix.shape, np.array(CELLS, dtype="S")
        ids, names = np.array(IDS, dtype="S16"), np.array(SYMBOLS, dtype="S16")
        if version == 2:
            group["genes"], group["gene_names"] = ids, names
            return path
        features = group.create_group("features")
        features["id"], features["name"] = np.insert(ids, 2, "CD3"), np.insert(names, 2, "CD3")
        kinds = np.insert(np.full(5, "Gene Expression", dtype="S20"), 2, "Antibody Capture")
        features["feature_type"] = kinds
    return path


def write_mtx(folder: Path, *, gz: bool = False, shuffled: bool = False) -> Path:
    folder.mkdir()
    order = RNG.permutation(np.count_nonzero(COUNTS)) if shuffled else slice(None)
    cell, gene = (axis[order] for axis in np.nonzero(COUNTS))
    lines = [f"{g + 1} {c + 1} {COUNTS[c, g]:.0f}" for c, g in zip(cell, gene, strict=True)]
    head = ["%%MatrixMarket matrix coordinate integer general", "%a comment", f"5 7 {len(lines)}"]
    texts = {
        "matrix.mtx": "\n".join([*head, *lines]) + "\n",
        "barcodes.tsv": "\n".join(CELLS) + "\n",
        ("features.tsv" if gz else "genes.tsv"): "".join(
            f"{i}\t{s}\n" for i, s in zip(IDS, SYMBOLS, strict=True)
        ),
    }
    for name, text in texts.items():
        if gz:
            with gzip.open(folder / f"{name}.gz", "wt") as file:
                file.write(text)
        else:
            (folder / name).write_text(text)
    return folder


def write_loom(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["matrix"] = np.log1p(COUNTS.T)
        file["layers/counts"] = COUNTS.T
        file["row_attrs/Gene"], file["row_attrs/Accession"] = SYMBOLS, IDS
        file["col_attrs/CellID"], file["col_attrs/day"] = CELLS, np.arange(7)
    return path


@pytest.mark.parametrize("x", [sp.csr_matrix, sp.csc_matrix, np.asarray], ids=["csr", "csc", "np"])
@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:.*[zZ]arr")  # the version of the format that anndata writes
def test_anndata_in_every_layout(tmp_path: Path, x: type, kind: str) -> None:
    path = tmp_path / f"cells.{kind}"
    getattr(adata(x(COUNTS)), f"write_{kind}")(path)
    cells = read(path, tmp_path)
    assert (cells.counts.rows(0, 7).toarray() == COUNTS).all()
    assert cells.obs["day"].tolist() == list(range(7))
    assert cells.genes.names == tuple(IDS)
    assert (cells.totals == COUNTS.sum(axis=1)).all()


@pytest.mark.parametrize("version", [2, 3])
def test_tenx_files_without_what_is_no_gene(tmp_path: Path, version: int) -> None:
    cells = read(write_tenx(tmp_path / "a.h5", version=version), tmp_path)
    assert (cells.counts.rows(0, 7).toarray() == COUNTS).all()
    assert cells.genes.names == tuple(IDS)
    assert cells.var.index.tolist() == SYMBOLS
    assert list(cells.obs.index) == CELLS
    assert any("1 features of type Antibody Capture" in note for note in cells.notes) == (
        version == 3
    )


def test_a_folder_without_some_ids_has_symbols_there(tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    ids = ["", IDS[1], "", "", IDS[4]]
    lines = [f"{i}\t{s}\tGene Expression\n" for i, s in zip(ids, SYMBOLS, strict=True)]
    (folder / "genes.tsv").write_text("".join(lines))
    cells = read(folder, tmp_path)
    assert cells.genes.names == ("S0", IDS[1], "S2", "S3", IDS[4])
    assert (cells.counts.rows(0, 7).toarray() == COUNTS).all()
    (folder / "genes.tsv").write_text("".join(f"\t{s}\n" for s in SYMBOLS))
    assert read(folder, tmp_path / "none").genes.names == tuple(SYMBOLS)


def test_a_folder_with_other_types_of_features(tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    kinds = ["Gene", "Gene", "Peaks", "Gene", "Gene"]
    rows = zip(IDS, SYMBOLS, kinds, strict=True)
    (folder / "genes.tsv").write_text("".join(f"{i}\t{s}\t{k}\n" for i, s, k in rows))
    cells = read(folder, tmp_path)
    assert (cells.counts.rows(0, 7).toarray() == np.delete(COUNTS, 2, axis=1)).all()
    share = COUNTS[:, 2].sum() / COUNTS.sum()
    assert any(f"1 features of type Peaks (such as {SYMBOLS[2]}), with {share:.1%}" in note
               for note in cells.notes)  # fmt: skip
    (folder / "genes.tsv").write_text("".join(f"{i}\t{i}\tPeaks\n" for i in IDS))
    with pytest.raises(ValueError, match="none of the 5 columns is a gene: 5 features of type Pea"):
        read(folder, tmp_path / "none")


def test_a_loom_with_empty_accessions_has_symbols_there(tmp_path: Path) -> None:
    path = write_loom(tmp_path / "a.loom")
    with h5py.File(path, "a") as file:
        del file["row_attrs/Accession"]
        file["row_attrs/Accession"] = [IDS[0], "", "", IDS[3], ""]
    assert read(path, tmp_path, layer="counts").genes.names == (IDS[0], "S1", "S2", IDS[3], "S4")
    with h5py.File(path, "a") as file:
        file["row_attrs/Accession"][:] = ""
    cells = read(path, tmp_path / "none", layer="counts")
    assert cells.genes.names == tuple(SYMBOLS)


def test_a_tenx_file_of_two_genomes_needs_a_choice(tmp_path: Path) -> None:
    path = write_tenx(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["matrix/features/genome"] = np.array(["A", "A", "", "A", "B", "B"], dtype="S6")
    with pytest.raises(ValueError, match=r"genes of 2 genomes: A \(3 genes\), B \(2 genes\)"):
        read(path, tmp_path)
    with ExitStack() as stack:
        cells = read_inputs([path], tmp_path / "of_a", stack, genes=GeneChoice(genome="A"))
    assert (cells.counts.rows(0, 7).toarray() == COUNTS[:, :3]).all()


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("gz", [False, True])
def test_tenx_folders(tmp_path: Path, gz: bool, shuffled: bool) -> None:
    cells = read(write_mtx(tmp_path / "mtx", gz=gz, shuffled=shuffled), tmp_path)
    assert (cells.counts.rows(0, 7).toarray() == COUNTS).all()
    assert cells.genes.names == tuple(IDS)


def test_a_matrix_written_by_scipy(tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    scipy.io.mmwrite(folder / "matrix.mtx", sp.coo_matrix(COUNTS.T))
    assert (counts_of(folder, tmp_path) == COUNTS).all()


def test_loom_layers(tmp_path: Path) -> None:
    path = write_loom(tmp_path / "a.loom")
    cells = read(path, tmp_path, layer="counts")
    assert (cells.counts.rows(0, 7).toarray() == COUNTS).all()
    assert cells.genes.names == tuple(IDS)
    assert cells.obs["day"].tolist() == list(range(7))
    with pytest.raises(NotCountsError, match="also holds layers; choose with: --layer counts"):
        read(path, tmp_path / "b")
    with pytest.raises(KeyError, match=r"no layer 'x'; it holds: counts"):
        read(path, tmp_path / "c", layer="x")


def test_layer_and_raw(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), raw=True, counts=COUNTS)
    assert (counts_of(path, tmp_path / "1", layer="counts") == COUNTS).all()
    assert (counts_of(path, tmp_path / "2", use_raw=True) == COUNTS).all()


def test_the_message_names_what_holds_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), raw=True, counts=COUNTS)
    with pytest.raises(ValueError, match="take them with: --layer counts or --use_raw"):
        read(path, tmp_path)


def test_the_message_is_about_what_was_asked_for_where_another_matrix_is_damaged(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), counts=COUNTS, odd=sp.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        del file["layers/odd/indptr"]
    with pytest.raises(ValueError, match=r"a\.h5ad: X: .* take them with: --layer counts$"):
        read(path, tmp_path / "1")
    with pytest.raises(ValueError, match="layer 'odd' is damaged: it lacks indptr"):
        read(path, tmp_path / "2", layer="odd")


def test_the_message_says_where_to_look_when_nothing_does(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), scaled=COUNTS - 1)
    with pytest.raises(ValueError, match="where the data were published"):
        read(path, tmp_path / "1")
    with pytest.raises(ValueError, match="negative"):
        read(path, tmp_path / "2", layer="scaled")


def test_a_normalised_layer_beside_counts_in_x(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", scaled=COUNTS * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"NaN.*leave --layer and --use_raw out"):
        read(path, tmp_path, layer="scaled")


def test_slots_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", counts=COUNTS)
    with pytest.raises(KeyError, match="no layer 'x'; it holds: counts"):
        read(path, tmp_path, layer="x")
    with pytest.raises(KeyError, match="no raw"):
        read(path, tmp_path, use_raw=True)
    with pytest.raises(ValueError, match="not both; got --layer counts and --use_raw"):
        read(path, tmp_path, layer="counts", use_raw=True)
    with pytest.raises(KeyError, match="holds one matrix"):
        read(write_tenx(tmp_path / "a.h5"), tmp_path, layer="counts")


def test_missing_truncated_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.h5ad"):
        read(tmp_path / "no.h5ad", tmp_path)
    path = write(tmp_path / "a.h5ad")
    half = tmp_path / "half.h5ad"
    half.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="truncated"):
        read(half, tmp_path)
    (tmp_path / "a.txt").write_text("counts")
    with pytest.raises(ValueError, match=r"expected an \.h5ad"):
        read(tmp_path / "a.txt", tmp_path)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="expected a 10x matrix"):
        read(tmp_path / "b.h5", tmp_path)


def test_damaged_tenx_folders(tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    text = (folder / "matrix.mtx").read_text()
    (folder / "matrix.mtx").write_text("\n".join(text.splitlines()[:-2]))
    with pytest.raises(ValueError, match="is truncated"):
        read(folder, tmp_path / "1")
    (folder / "matrix.mtx").write_text(text.replace("5 7", "5 8"))
    with pytest.raises(ValueError, match="the files beside it"):
        read(folder, tmp_path / "2")
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"needs barcodes\.tsv"):
        read(folder, tmp_path / "3")


def test_two_cells_of_one_name(tmp_path: Path) -> None:
    cells = adata(COUNTS)
    cells.obs_names = ["c0", *CELLS[:-1]]
    cells.write_h5ad(tmp_path / "twice.h5ad")
    with pytest.raises(ValueError, match="occur more than once"):
        read(tmp_path / "twice.h5ad", tmp_path)


def test_a_zarr_store_that_changed_after_it_was_written(tmp_path: Path) -> None:
    """Consolidated metadata is a copy from the time of writing."""
    import zarr

    path = tmp_path / "a.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the version of the format that anndata writes
        adata(sp.csr_matrix(COUNTS)).write_zarr(path)
    group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    anndata.io.write_elem(group["obsp"], "later", sp.csr_matrix(np.eye(7)))
    anndata.io.write_elem(group["layers"], "later", sp.csr_matrix(2 * COUNTS))
    cells = read(path, tmp_path, layer="later")
    assert list(cells.obsp) == ["later"]
    assert (cells.counts.rows(0, 7).toarray() == 2 * COUNTS).all()


def test_rows_of_features_of_unequal_width_are_named(tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    lines = (folder / "genes.tsv").read_text().splitlines()
    (folder / "genes.tsv").write_text("\n".join([*lines[:2], IDS[2], *lines[3:]]))
    with pytest.raises(ValueError, match=r"genes\.tsv: its rows are .* row 3 has 1 columns"):
        read(folder, tmp_path)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_list_of_features_is_named(text: str, tmp_path: Path) -> None:
    folder = write_mtx(tmp_path / "mtx")
    (folder / "genes.tsv").write_text(text)
    with pytest.raises(ValueError, match=r"genes\.tsv is empty; expected a row for each gene"):
        read(folder, tmp_path)
