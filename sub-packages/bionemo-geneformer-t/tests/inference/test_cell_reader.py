"""A file is read as the model was trained, whatever else it holds and wherever its ids are."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.gene_coverage import known_fraction
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.embedder import Embedder

OTHERS = np.random.default_rng(3).poisson(300, (40, 3)).astype(np.float32)
GENES, ANTIBODY = ["Gene Expression"] * 30, "Antibody Capture"


def changed(data: anndata.AnnData, name: str) -> anndata.AnnData:
    """The training cells as other tools write them; the model should see the same in all."""
    ids, symbols = list(data.var["feature_id"]), list(data.var_names)
    index, columns, counts = symbols, {"gene_ids": ids}, data.X.toarray()
    if name == "missing ids":
        columns = {"ensembl": [np.nan if i % 4 == 1 else gene for i, gene in enumerate(ids)]}
    elif name == "antibodies":
        counts = np.hstack([counts, OTHERS])
        index = [*symbols, "GENE3", "GENE4", "Hash1"]
        columns = {"gene_ids": [*ids, *index[30:]], "feature_types": GENES + [ANTIBODY] * 3}
    elif name == "spike-ins":
        counts = np.hstack([counts, OTHERS])
        index = [*symbols, "ERCC-00002", "ERCC-00003", "ERCC-00004"]
        columns = {"gene_ids": [*ids, *index[30:]]}
    elif name == "two genomes":
        counts = np.hstack([counts, *[OTHERS] * 10])
        index = [*symbols, "GENE5", *(f"Gene{i}" for i in range(29))]
        columns = {"genome": ["GRCh38"] * 30 + ["mm10"] * 30}
    elif name == "versions in the index":
        index, columns = [f"{gene}.7" for gene in ids], {"feature_name": symbols}
    var = pd.DataFrame(columns, index=index)
    return anndata.AnnData(sp.csr_matrix(counts), obs=data.obs, var=var)


NAMES = ["ids", "missing ids", "antibodies", "spike-ins", "two genomes", "versions in the index"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_the_tokens_are_those_of_training(
    tiny_data_dir: Path, untrained_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    model = load_model(untrained_checkpoint)
    data = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")
    other = changed(data, name)
    other.write_h5ad(tmp_path / "other.h5ad")
    store = CellStore.open(tiny_data_dir / "train")
    tokens = CellTokens(store, model.vocab, model.pair_settings)
    expected = [tokens.encode(cell) for cell in range(len(tokens))]
    expected_share = known_fraction(store, tokens.token_of_column)
    path = tmp_path / "other.h5ad"
    with h5ad_source(path) as source:
        reader = CellReader(model, source, 0.0, str(path))
        found = [genes for block in reader.blocks() for genes in block.rows()]
        assert reader.num_cells == len(found) == len(expected)
        for genes, trained in zip(found, expected, strict=True):
            np.testing.assert_array_equal(genes, trained)
        assert reader.counts_known == expected_share
        assert (reader.num_known, reader.num_unknown) == (28, 2)
        notes = reader.notes()
    share = other.X[:, 30:].sum() / other.X.sum()
    expected_note = {
        "antibodies": f"3 features of type {ANTIBODY} (such as GENE3, GENE4, Hash1)",
        "spike-ins": "3 spike-ins (such as ERCC-00002, ERCC-00003, ERCC-00004)",
        "two genomes": "30 genes of genome mm10 (such as GENE5, Gene0, Gene1)",
    }.get(name)
    if expected_note is None:
        assert not notes
    else:
        said = f"{tmp_path / 'other.h5ad'}: {expected_note}, with {share:.1%} of all counts, were"
        assert notes == [f"{said} left out"]


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_embeddings_keep_the_columns_and_read_genes_alone(
    tiny_data_dir: Path, untrained_checkpoint: Path, layout: str
) -> None:
    model = load_model(untrained_checkpoint)
    data = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")
    other = changed(data, "antibodies")
    other.X = other.X.asformat(layout)

    def embedded(cells: anndata.AnnData) -> tuple[Any, Embedder]:
        with row_wise(anndata_source(cells)) as rows:
            embedder = Embedder(model, rows, EmbeddingSettings())
            return np.concatenate([block.embeddings for block in embedder.blocks()]), embedder

    (expected, plain), (found, embedder) = embedded(data), embedded(other)
    np.testing.assert_array_equal(found, expected)
    genes, table = embedder.gene_embeddings()
    assert len(genes) == len(table) == 33
    assert np.isnan(genes[30:]).all()
    assert np.isnan(table[30:]).all()
    np.testing.assert_array_equal(genes[:30], plain.gene_embeddings()[0])
    assert embedder.summary()["counts_known"] == plain.summary()["counts_known"]
    assert embedder.summary()["genes_unknown"] == 2
    assert "3 features of type Antibody Capture" in embedder.reader.notes()[0]
    assert not plain.reader.notes()


def test_cells_without_any_count_are_refused_by_number(
    tiny_data_dir: Path, untrained_checkpoint: Path
) -> None:
    data = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")[:7].copy()
    data.X = sp.csr_matrix(data.shape, dtype=np.float32)
    reader = CellReader(load_model(untrained_checkpoint), anndata_source(data), 0.5, "cells.h5ad")
    with pytest.raises(ValueError, match=r"none of the 7 cells of cells\.h5ad has a count"):
        list(reader.blocks())
