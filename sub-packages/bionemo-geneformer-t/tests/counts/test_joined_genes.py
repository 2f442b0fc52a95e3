"""Genes get one name each; columns of one gene are summed."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.joined_genes import (
    GeneChoice,
    GeneTable,
    check_shared_genes,
    join_genes,
    resolve_genes,
)


def resolve(
    var: pd.DataFrame, choice: GeneChoice | None = None, where: str = "the input"
) -> GeneTable:
    return resolve_genes(name_genes(var, where), choice, where)


def test_versions_are_stripped_and_the_id_columns_come_first() -> None:
    var = pd.DataFrame(
        {"ensembl_id": ["ENSG00000000003.15", "ENSMUSG00000000001.4"]}, index=["A", "B"]
    )
    table = resolve(var)
    assert table.names == ("ENSG00000000003", "ENSMUSG00000000001")
    assert table.symbols == {"A": "ENSG00000000003", "B": "ENSMUSG00000000001"}
    assert table.is_mapped.all()


def test_synonyms_of_a_gene_are_one_gene() -> None:
    var = pd.DataFrame(index=["OCT4", "X", "POU5F1"])
    table = resolve(var, GeneChoice(gene_names={"OCT4": "ENSG1", "POU5F1": "ENSG1"}))
    assert table.num_merged == 1
    assert table.names == ("ENSG1", "X")
    assert table.gene_of_column.tolist() == [0, 1, 0]
    assert table.is_mapped.tolist() == [True, False]


def test_inputs_are_joined_by_what_their_genes_are() -> None:
    names = GeneChoice(gene_names={"OCT4": "ENSG1", "POU5F1": "ENSG1"})
    first = resolve(pd.DataFrame(index=["A", "OCT4"]), names)
    second = resolve(pd.DataFrame(index=["POU5F1", "B", "ENSG00000000003.1"]), names)
    joined = join_genes([first, second])
    assert joined.names == ("A", "ENSG1", "B", "ENSG00000000003")
    assert [columns.tolist() for columns in joined.gene_of_column] == [[0, 1], [1, 2, 3]]
    assert joined.num_inputs.tolist() == [1, 2, 1, 1]
    assert joined.is_mapped.tolist() == [False, True, False, True]
    assert joined.symbols == {"OCT4": "ENSG1", "POU5F1": "ENSG1"}


def test_without_a_dictionary_every_name_stays() -> None:
    table = resolve(pd.DataFrame(index=["Sox2", "Mrpl15"]))
    assert table.names == ("Sox2", "Mrpl15")
    assert table.is_mapped.all()


def test_capitals_are_matched_for_human_symbols_only() -> None:
    names = GeneChoice(
        gene_names={"C1ORF112": "ENSG1", "SOX2": "ENSG2", "PAX6": "ENSG3", "C21orf62": "ENSG4"}
    )
    human = resolve(pd.DataFrame(index=["C1orf112", "SOX2", "PAX6", "C21ORF62"]), names)
    mouse = resolve(pd.DataFrame(index=["Sox2", "Pax6"]), names)
    assert human.names == ("ENSG1", "ENSG2", "ENSG3", "ENSG4")
    assert human.is_mapped.all()
    assert not mouse.is_mapped.any()


IDS = [f"ENSG{i:011d}" for i in range(6)]
SYMBOLS = [f"GENE{i}" for i in range(6)]


def test_a_vocabulary_is_asked_by_id_and_then_by_symbol() -> None:
    """As training asks it: an id that it does not know may have a symbol that it knows."""
    var = pd.DataFrame({"gene_ids": [IDS[0], IDS[5], IDS[4]]}, index=["GENE0", "GENE2", "GENE4"])
    names = {"GENE2": IDS[2], "GENE0": IDS[3]}
    table = resolve(var, GeneChoice(gene_names=names, tokens=IDS[:4]))
    assert table.names == (IDS[0], IDS[2], IDS[4])
    versioned = resolve(var, GeneChoice(tokens=[f"{IDS[0]}.3"]))
    assert versioned.names == (f"{IDS[0]}.3", IDS[5], IDS[4])


def test_a_dictionary_replaces_ids_of_another_species_only() -> None:
    var = pd.DataFrame(
        {"gene_ids": ["ENSMUSG00000000001", "ENSG00000000009"]}, index=["Sox2", "PAX6"]
    )
    names = GeneChoice(gene_names={"Sox2": IDS[0], "PAX6": IDS[1]})
    assert resolve(var, names).names == (IDS[0], "ENSG00000000009")


def test_a_symbol_of_two_genes_stands_for_neither() -> None:
    table = resolve(pd.DataFrame({"gene_ids": IDS[:3]}, index=["TBCE", "TBCE", "PAX6"]))
    assert table.symbols == {"PAX6": IDS[2]}


def test_what_is_left_out_is_no_gene() -> None:
    var = pd.DataFrame(
        {"gene_ids": [*IDS[:2], "CD4"], "feature_types": ["Gene Expression"] * 2 + ["Antibody"]},
        index=["CD4", "ERCC-00002", "CD4"],
    )
    table = resolve(var)
    assert table.names == (IDS[0],)
    assert table.gene_of_column.tolist() == [0, -1, -1]
    assert table.num_merged == 0
    kept = resolve(var, GeneChoice(keep_spike_ins=True))
    assert kept.gene_of_column.tolist() == [0, 1, -1]
    assert join_genes([table]).gene_of_column[0].tolist() == [0, -1, -1]


def test_an_input_without_genes_is_refused_by_what_it_holds() -> None:
    var = pd.DataFrame({"feature_types": ["Peaks", "Peaks"]}, index=["chr1:1-5", "chr1:9-20"])
    with pytest.raises(ValueError, match="none of the 2 columns is a gene: 2 features of type P"):
        resolve(var, where="a.h5ad")


def test_genes_that_lack_ids_in_one_input_have_those_of_the_other() -> None:
    """Two inputs lack different ids, a third has symbols only: all have the same six genes."""
    first, second = (pd.Series(IDS, index=SYMBOLS, dtype=object) for _ in range(2))
    first.iloc[[0, 3]], second.iloc[[1, 5]] = np.nan, ""
    tables = [
        resolve(pd.DataFrame({"ensembl_id": first})),
        resolve(pd.DataFrame({"gene_ids": second})),
        resolve(pd.DataFrame(index=SYMBOLS)),
        resolve(pd.DataFrame({"feature_name": SYMBOLS}, index=IDS)),
    ]
    joined = join_genes(tables)
    assert sorted(joined.names) == IDS
    assert joined.num_inputs.tolist() == [4] * 6
    for columns in joined.gene_of_column:
        assert [joined.names[place] for place in columns] == IDS


def test_symbols_that_inputs_disagree_on_stay_symbols() -> None:
    tables = [
        resolve(pd.DataFrame({"gene_ids": [IDS[0], IDS[1]]}, index=["TBCE", "PAX6"])),
        resolve(pd.DataFrame({"gene_ids": [IDS[2], IDS[1]]}, index=["TBCE", "PAX6"])),
        resolve(pd.DataFrame(index=["TBCE", "PAX6"])),
    ]
    assert join_genes(tables).names == (IDS[0], IDS[1], IDS[2], "TBCE")


@pytest.mark.parametrize(
    ("genes", "least", "message"),
    [
        (["A", "B", "C"], 0.0, r"a and b share 0 of 6 and 3 genes, 0% of the smaller one's"),
        (["A", "B", "GENE1"], 0.5, r"share 1 of 6 and 3 genes, 33% .* at least 50%"),
        (["A", "GENE2", "GENE1"], 0.5, None),
        (["A", "B", "GENE1"], 0.3, None),
    ],
)
def test_inputs_that_hardly_share_genes_are_refused(
    genes: list[str], least: float, message: str | None
) -> None:
    joined = join_genes([resolve(pd.DataFrame(index=names)) for names in (SYMBOLS, genes)])
    if message is None:
        check_shared_genes(joined, ["a", "b"], least)
        return
    with pytest.raises(ValueError, match=message):
        check_shared_genes(joined, ["a", "b"], least)
