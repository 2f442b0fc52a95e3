"""Symbols of joined genes: the first input that has one decides, and others are counted."""

import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.joined_genes import join_genes, resolve_genes
from bionemo.geneformer_t.counts.joined_var import joined_symbols

IDS = [f"ENSG{i:011d}" for i in range(1, 6)]


def symbols_of(*tables: pd.DataFrame) -> tuple[list[str], list[str], tuple[str, ...]]:
    named = [name_genes(var) for var in tables]
    joined = join_genes([resolve_genes(genes) for genes in named])
    inputs = [f"{letter}.h5ad" for letter in "abc"[: len(tables)]]
    found, notes = joined_symbols(joined, [genes.symbols for genes in named], inputs)
    return list(joined.names), found, notes


def test_the_first_input_that_has_a_symbol_decides() -> None:
    first = pd.DataFrame({"feature_name": ["OCT4", np.nan, "SOX2"]}, index=IDS[:3])
    second = pd.DataFrame({"gene_ids": IDS[:4]}, index=["POU5F1", "PAX6", "SOX2", "GFAP"])
    third = pd.DataFrame({"feature_name": ["OTF3", "AN"]}, index=IDS[:2])
    names, found, notes = symbols_of(first, second, third)
    assert names == IDS[:4]
    assert found == ["OCT4", "PAX6", "SOX2", "GFAP"]
    (note,) = notes
    assert note.startswith("2 genes have another symbol in another input")
    assert f"{IDS[0]}: OCT4 in a.h5ad, POU5F1 in b.h5ad. var['feature_name'] has the" in note


def test_a_gene_without_a_symbol_is_called_by_its_name() -> None:
    names, found, notes = symbols_of(
        pd.DataFrame(index=[*IDS[:2], "GFP"]),
        pd.DataFrame({"gene_ids": [IDS[0], np.nan, IDS[2]]}, index=["TBCE", "GFP", "mm10_Xkr4"]),
    )
    assert names == [*IDS[:2], "GFP", IDS[2]]
    assert found == ["TBCE", IDS[1], "GFP", "Xkr4"]
    assert notes == ()


def test_columns_of_one_gene_in_an_input_do_not_disagree() -> None:
    double = pd.DataFrame({"gene_ids": [IDS[0], IDS[0]]}, index=["POU5F1", "OCT4"])
    single = pd.DataFrame({"gene_ids": [IDS[0]]}, index=["OCT4"])
    assert symbols_of(single, double) == ([IDS[0]], ["OCT4"], ())
