"""Counts are taken from where the user says, and anything else is refused with a way out."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.run.input_counts import read_counts

COUNTS = np.array([[1, 0, 3], [2, 5, 0]], dtype=np.float32)


def write(path: Path, x: np.ndarray, *, raw: bool = False, **layers: np.ndarray) -> Path:
    index = pd.Index(["c1", "c2"])
    cells = anndata.AnnData(sp.csr_matrix(x), obs=pd.DataFrame(index=index), layers=layers)
    if raw:
        cells.raw = anndata.AnnData(sp.csr_matrix(COUNTS), obs=pd.DataFrame(index=index))
    cells.write_h5ad(path)
    return path


def test_layer_raw_and_dense_matrices(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), raw=True, counts=COUNTS)
    for cells in (read_counts(path, layer="counts"), read_counts(path, use_raw=True)):
        assert isinstance(cells.X, sp.csr_matrix)
        assert (cells.X.toarray() == COUNTS).all()


def test_the_message_names_what_holds_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), raw=True, counts=COUNTS)
    with pytest.raises(ValueError, match="take them with: --layer counts or --use_raw"):
        read_counts(path)


def test_the_message_says_where_to_look_when_nothing_does(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", np.log1p(COUNTS), scaled=COUNTS - 1)
    with pytest.raises(ValueError, match="where the data were published"):
        read_counts(path)
    with pytest.raises(ValueError, match="negative"):
        read_counts(path, layer="scaled")


def test_a_normalised_layer_beside_counts_in_x(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", COUNTS, scaled=COUNTS * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"NaN.*leave --layer and --use_raw out"):
        read_counts(path, layer="scaled")


def test_slots_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", COUNTS, counts=COUNTS)
    with pytest.raises(KeyError, match="no layer 'x'; it holds: counts"):
        read_counts(path, layer="x")
    with pytest.raises(KeyError, match="no raw"):
        read_counts(path, use_raw=True)
    with pytest.raises(ValueError, match="not both"):
        read_counts(path, layer="counts", use_raw=True)


def test_missing_truncated_and_ambiguous_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.h5ad"):
        read_counts(tmp_path / "no.h5ad")
    path = write(tmp_path / "a.h5ad", COUNTS)
    half = tmp_path / "half.h5ad"
    half.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="truncated"):
        read_counts(half)
    cells = anndata.read_h5ad(path)
    cells.obs_names = ["c", "c"]
    cells.write_h5ad(tmp_path / "twice.h5ad")
    with pytest.raises(ValueError, match="stand more than once"):
        read_counts(tmp_path / "twice.h5ad")
