"""Encoded from any source, a cell's tokens are those of the store."""

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.token_encoder import TokenEncoder


@pytest.mark.parametrize(
    "var", [None, {"feature_id": ["g0", "other", "g3", "g2"]}, {"ensembl_id": ["g1", "g0"] * 2}]
)
@pytest.mark.parametrize("normalize", [True, False])
def test_tokens_are_those_of_the_store(write_split, vocab, var, normalize):
    split = write_split(var=var)
    settings = PairSettings(normalize_gene_expression=normalize)
    stored = CellTokens(CellStore.open(split), vocab, settings)
    source = anndata_source(anndata.read_h5ad(split / "data.h5ad"))
    encoder = TokenEncoder(source, source.where, vocab, settings)
    (block,) = source.blocks()
    counts = block.counts
    encoded = encoder.encode(counts.data, counts.indices, np.diff(counts.indptr).astype(np.int64))
    assert len(encoded) == len(stored)
    for cell, genes in enumerate(encoded.rows()):
        np.testing.assert_array_equal(genes, stored.encode(cell))


def test_columns_are_found_by_name_then_by_symbol(write_split, vocab):
    split = write_split(genes=["g0", "x", "SYM0", "g3"])
    source = anndata_source(anndata.read_h5ad(split / "data.h5ad"))
    encoder = TokenEncoder(source, source.where, vocab, PairSettings())
    assert encoder.is_known.tolist() == [True, False, True, True]
    assert encoder.merges
    split = write_split(genes=["a", "b", "c", "d"], folder="other")
    source = anndata_source(anndata.read_h5ad(split / "data.h5ad"))
    with pytest.raises(ValueError, match=r"knows none of the 4 genes of adata\.X \(such as a, b"):
        TokenEncoder(source, source.where, vocab, PairSettings())
