"""Genes are found by id, by the vocabulary's symbols and by those of the data, or refused."""

import pandas as pd
import pytest

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.data.token_encoder import tokens_of_columns
from bionemo.geneformer_t.inference.gene_symbols import find_genes, symbols_of
from bionemo.geneformer_t.report.contents import named_genes
from bionemo.geneformer_t.vocab import GeneVocab

IDS = [f"ENSG{i:011d}" for i in range(6)]
VOCAB = GeneVocab.of_genes(
    dict.fromkeys(IDS, 1.0), {"OCT4": IDS[0], "POU5F1": IDS[0], "SOX2": IDS[1], "PAX6": IDS[2]}
)


def symbols(**of_data: str) -> tuple[str, ...]:
    """Symbols where the data hold all genes, some under a name of their own."""
    names = [of_data.get(f"gene{i}", gene) for i, gene in enumerate(IDS)]
    genes = name_genes(pd.DataFrame({"feature_name": names}, index=IDS))
    return symbols_of(VOCAB, genes, tokens_of_columns(genes, VOCAB))


def found(*names: str, **of_data: str) -> list[str]:
    tokens = find_genes(names, VOCAB, symbols(**of_data)).tolist()
    return ["" if token < 0 else VOCAB.tokens[token] for token in tokens]


def test_ids_and_symbols_of_vocabulary_and_data_are_the_same_gene() -> None:
    names = IDS[0], f"{IDS[0]}.7", "OCT4", "POU5F1", "oct3", "OTF3"
    assert found(*names, gene0="OTF3") == [*[IDS[0]] * 4, "", IDS[0]]
    assert found("C21orf62", "C21ORF62", gene4="C21orf62") == [IDS[4]] * 2
    assert found("Nanog", gene4="NANOG") == [""]


def test_a_symbol_of_several_genes_is_refused_and_their_ids_are_not() -> None:
    twice = {"gene3": "TBCE", "gene4": "TBCE"}
    message = rf"TBCE stands for 2 genes, {IDS[3]} \(TBCE\), {IDS[4]} \(TBCE\); give the id"
    with pytest.raises(ValueError, match=message):
        found("TBCE", **twice)
    assert found(IDS[3], IDS[4], **twice) == [IDS[3], IDS[4]]


def test_a_symbol_that_data_and_vocabulary_give_to_different_genes_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"SOX2 stands for 2 genes, {IDS[1]} .*, {IDS[5]} \(SOX2"):
        found("SOX2", gene5="SOX2")


def test_the_report_follows_each_gene_once_and_names_what_is_unknown() -> None:
    shown = symbols(gene0="OTF3")
    ids = named_genes(["OTF3,SOX2", f"OCT4 {IDS[5]}"], VOCAB, shown)
    assert VOCAB.decode(ids) == [IDS[0], IDS[1], IDS[5]]
    with pytest.raises(KeyError, match="has no NONE; it knows 6 genes by names such as OTF3, SOX2"):
        named_genes(["OTF3 NONE"], VOCAB, shown)
