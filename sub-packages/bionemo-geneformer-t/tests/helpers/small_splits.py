"""Fixtures that write folders of a few cells, right or wrong in one respect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.vocab import GeneVocab

WriteSplit = Callable[..., Path]

COUNTS = np.array([[3, 0, 1, 2], [0, 5, 1, 0], [2, 2, 0, 7], [1, 0, 0, 4], [6, 1, 2, 3]])


@pytest.fixture(autouse=True)
def own_cache_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests neither read nor leave anything in the user's cache."""
    monkeypatch.delenv("GENEFORMER_T_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


@pytest.fixture
def counts() -> Int[ndarray, "cell gene"]:
    return COUNTS.copy()


@pytest.fixture
def vocab() -> GeneVocab:
    """Of the genes g0 to g3."""
    return GeneVocab.of_genes({"g0": 1.0, "g1": 2.0, "g2": 0.5, "g3": 4.0}, {"SYM0": "g0"})


@pytest.fixture
def write_split(tmp_path: Path, vocab: GeneVocab) -> WriteSplit:
    """A function that writes a split and returns its folder; cells c0.., genes g0..."""

    def write(
        matrix: Any = COUNTS,
        *,
        neighbors: Any = None,
        cell_ids: list[str] | None = None,
        genes: list[str] | None = None,
        var: dict[str, list[str]] | None = None,
        obsp: dict[str, Any] | None = None,
        folder: str = "split",
    ) -> Path:
        num_cells, num_genes = matrix.shape
        split = tmp_path / folder
        split.mkdir(parents=True)
        cells = cell_ids or [f"c{i}" for i in range(num_cells)]
        names = genes or [f"g{i}" for i in range(num_genes)]
        if not sp.issparse(matrix):
            matrix = sp.csr_matrix(matrix.astype(np.float32))
        data = anndata.AnnData(
            matrix, obs=pd.DataFrame(index=cells[:num_cells]), var=pd.DataFrame(var, index=names)
        )
        for key, graph in (obsp or {}).items():
            data.obsp[key] = graph
        data.write_h5ad(split / "data.h5ad")
        if neighbors is not None:
            (split / "neighbors.json").write_text(json.dumps(neighbors))
        vocab.write(split / "geneformer.vocab", split / "medians.json")
        return split

    return write
