"""Genes get one name each; columns of one gene are summed."""

import pandas as pd

from bionemo.geneformer_t.run.gene_table import join_genes, resolve_genes


def test_versions_are_stripped_and_the_id_columns_come_first() -> None:
    var = pd.DataFrame(
        {"ensembl_id": ["ENSG00000000003.15", "ENSMUSG00000000001.4"]}, index=["A", "B"]
    )
    table = resolve_genes(var)
    assert table.names == ("ENSG00000000003", "ENSMUSG00000000001")
    assert table.symbols == {"A": "ENSG00000000003", "B": "ENSMUSG00000000001"}
    assert table.is_mapped.all()


def test_synonyms_of_a_gene_are_one_gene() -> None:
    var = pd.DataFrame(index=["OCT4", "X", "POU5F1"])
    table = resolve_genes(var, {"OCT4": "ENSG1", "POU5F1": "ENSG1"})
    assert table.num_merged == 1
    assert table.names == ("ENSG1", "X")
    assert table.gene_of_column.tolist() == [0, 1, 0]
    assert table.is_mapped.tolist() == [True, False]


def test_inputs_are_joined_by_what_their_genes_are() -> None:
    names = {"OCT4": "ENSG1", "POU5F1": "ENSG1"}
    first = resolve_genes(pd.DataFrame(index=["A", "OCT4"]), names)
    second = resolve_genes(pd.DataFrame(index=["POU5F1", "B", "ENSG00000000003.1"]), names)
    joined = join_genes([first, second])
    assert joined.names == ("A", "ENSG1", "B", "ENSG00000000003")
    assert [columns.tolist() for columns in joined.gene_of_column] == [[0, 1], [1, 2, 3]]
    assert joined.num_inputs.tolist() == [1, 2, 1, 1]
    assert joined.is_mapped.tolist() == [False, True, False, True]
    assert joined.symbols == {"OCT4": "ENSG1", "POU5F1": "ENSG1"}


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
