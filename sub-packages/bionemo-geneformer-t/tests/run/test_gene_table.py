"""Genes get one name each; columns of one gene are summed."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.run.gene_table import merge_genes, resolve_genes


def test_versions_are_stripped_and_the_id_columns_come_first() -> None:
    var = pd.DataFrame(
        {"ensembl_id": ["ENSG00000000003.15", "ENSMUSG00000000001.4"]}, index=["A", "B"]
    )
    table = resolve_genes(var)
    assert table.names == ("ENSG00000000003", "ENSMUSG00000000001")
    assert table.symbols == {"A": "ENSG00000000003", "B": "ENSMUSG00000000001"}
    assert table.is_mapped.all()


def test_synonyms_of_a_gene_are_summed() -> None:
    var = pd.DataFrame(index=["OCT4", "X", "POU5F1"])
    counts = sp.csr_matrix(np.array([[1, 2, 4], [0, 0, 8]], dtype=np.float32))
    table = resolve_genes(var, {"OCT4": "ENSG1", "POU5F1": "ENSG1"})
    merged = merge_genes(anndata.AnnData(counts, var=var), table)
    assert table.num_merged == 1
    assert table.is_mapped.tolist() == [True, False]
    assert merged.X.toarray().tolist() == [[5, 2], [8, 0]]
    assert merged.var["feature_id"].tolist() == ["ENSG1", "X"]


def test_without_a_dictionary_every_name_stays() -> None:
    table = resolve_genes(pd.DataFrame(index=["Sox2", "Mrpl15"]))
    assert table.names == ("Sox2", "Mrpl15")
    assert table.is_mapped.all()


def test_capitals_are_matched_for_human_symbols_only() -> None:
    names = {"C1ORF112": "ENSG1", "SOX2": "ENSG2", "PAX6": "ENSG3"}
    human = resolve_genes(pd.DataFrame(index=["C1orf112", "SOX2", "PAX6"]), names)
    mouse = resolve_genes(pd.DataFrame(index=["Sox2", "Pax6"]), names)
    assert human.is_mapped.all()
    assert not mouse.is_mapped.any()
