"""Ids are found by what columns hold, genes without one stay apart, and what is no gene is said."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.gene_names import (
    NO_NAME,
    SPIKE_IN,
    RemovedFeatures,
    choose_genome,
    left_out_notes,
    name_genes,
)

IDS = [f"ENSG{i:011d}" for i in range(6)]
SYMBOLS = ["TNNT2", "SOX2", "CD4", "C1orf112", "MT-CO1", "GAPDH"]
GENE, ANTIBODY = "Gene Expression", "Antibody Capture"


def table(index: list[str] = SYMBOLS, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=index)


@pytest.mark.parametrize(
    "column",
    [
        "feature_id", "ensembl_id", "gene_ids", "gene_id", "ensembl", "ensemblid", "Ensembl_ID",
        "ENSEMBL", "Accession", "gene_ids-0", "anything",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["object", "category", "string"])
def test_a_column_of_ids_is_recognised_by_what_it_holds(column: str, dtype: str) -> None:
    var = table(**{column: pd.Series(IDS, index=SYMBOLS, dtype=dtype), "mean": np.arange(6.0)})
    genes = name_genes(var)
    assert (genes.names, genes.symbols) == (tuple(IDS), tuple(SYMBOLS))
    assert genes.id_column == column


def test_an_index_of_ids_has_its_symbols_in_a_column() -> None:
    genes = name_genes(table(IDS, feature_name=SYMBOLS, mouse=["ENSMUSG00000000001"] * 6))
    assert (genes.names, genes.symbols) == (tuple(IDS), tuple(SYMBOLS))
    assert genes.id_column is None


def test_a_column_named_as_one_of_ids_that_holds_none_is_not_taken() -> None:
    genes = name_genes(table(gene_ids=["a", "b", "c", "d", "e", "f"]))
    assert genes.names == tuple(SYMBOLS)
    genes = name_genes(table(feature_id=[str(i) for i in range(6)], gene_ids=IDS))
    assert genes.names == tuple(IDS)


def test_what_prepare_wrote_stays() -> None:
    """A folder whose genes go by symbol keeps them, though another column holds ids."""
    assert name_genes(table(feature_id=SYMBOLS, gene_ids=IDS)).names == tuple(SYMBOLS)
    some = ["TNNT2", IDS[1], "CD4", "C1orf112", "MT-CO1", "GAPDH"]
    assert name_genes(table(feature_id=some, gene_ids=IDS)).names == tuple(some)
    plain = ["g0", "other", "g3", "g2", "g2", "g1"]
    assert name_genes(table(feature_id=plain)).names == tuple(plain)


@pytest.mark.parametrize(
    "missing", [np.nan, None, pd.NA, "", " ", "-", "NA", "nan", "NaN", "<NA>", "None", "unknown"]
)
def test_genes_without_an_id_go_by_their_symbols(missing: Any) -> None:
    ids = pd.Series(IDS, index=SYMBOLS, dtype="object")
    ids.iloc[[1, 4]] = missing
    expected = (IDS[0], "SOX2", IDS[2], IDS[3], "MT-CO1", IDS[5])
    genes = name_genes(table(ensembl_id=ids))
    assert genes.names == expected
    assert genes.is_counted.all()
    assert genes.notes == (
        "the data: 2 genes without an id in var['ensembl_id'] go by their symbol",
    )
    assert name_genes(table(ensembl_id=ids.astype("category"))).names == expected


def test_a_gene_with_neither_id_nor_symbol_is_left_out() -> None:
    genes = name_genes(table(["nan", "-", *SYMBOLS[2:]], gene_ids=[IDS[0], None, *IDS[2:]]))
    assert genes.names == (IDS[0], "", *IDS[2:])
    assert Counter(genes.left_out) == {"": 5, NO_NAME: 1}


@pytest.mark.parametrize("column", ["feature_types", "feature_type", "Feature_Types-0"])
def test_other_features_are_left_out(column: str) -> None:
    kinds = [GENE, GENE, ANTIBODY, "CRISPR Guide Capture", "Multiplexing Capture", "Tag of ours"]
    genes = name_genes(table(gene_ids=[*IDS[:2], "CD4", "g", "h", "t"], **{column: kinds}))
    assert genes.is_counted.tolist() == [True, True, False, False, False, False]
    assert genes.left_out[2] == "features of type Antibody Capture"


def test_biotypes_are_no_types_of_features() -> None:
    """CELLxGENE's `feature_type` holds biotypes, and its `feature_biotype` tells spike-ins."""
    kinds = ["protein_coding", "lncRNA", "IG_C_gene", "misc_RNA", "Mt_tRNA", "vault_RNA"]
    origin = ["gene"] * 5 + ["spike-in"]
    assert name_genes(table(feature_type=kinds)).is_counted.all()
    assert name_genes(table(feature_type=kinds, feature_biotype=origin)).left_out[5] == SPIKE_IN


def test_types_of_another_vocabulary_are_said() -> None:
    genes = name_genes(table(feature_types=["Transcript"] * 6))
    assert genes.is_counted.all()
    assert "knows no Gene Expression; taken as genes: Transcript (6)" in genes.notes[0]
    with pytest.raises(ValueError, match="a: none of the 6 columns is a gene: 6 features of"):
        name_genes(table(feature_types=["Peaks"] * 6), "a")


def test_spike_ins_are_left_out_and_the_genes_ercc_are_not() -> None:
    index = ["ERCC-00002", "ERCC_00130", "ERCC1", "ERCC6L2", "SIRV101", "ercc_ERCC-00096"]
    genes = name_genes(table(index))
    assert [reason == SPIKE_IN for reason in genes.left_out] == [1, 1, 0, 0, 1, 1]


MIXED = table(
    ["GRCh38_TNNT2", "GRCh38_SOX2", "mm10___Sox2", "mm10___Tnnt2", "mm10___Pax6", "EGFP"],
)


@pytest.mark.parametrize(
    "var",
    [
        MIXED,
        table(["TNNT2", "SOX2", "Sox2", "Tnnt2", "Pax6", "EGFP"],
              genome=["GRCh38"] * 2 + ["mm10"] * 3 + [""]),
        table(["TNNT2", "SOX2", "Sox2", "Tnnt2", "Pax6", "EGFP"],
              gene_ids=["GRCh38_" + i for i in IDS[:2]]
              + [f"mm10___ENSMUSG{i:011d}" for i in range(3)] + ["EGFP"]),
    ],
)  # fmt: skip
def test_one_genome_of_several_is_chosen(var: pd.DataFrame) -> None:
    genes = name_genes(var)
    with pytest.raises(ValueError, match=r"2 genomes: GRCh38 \(2 genes\), mm10 \(3 genes\)\. Cho"):
        choose_genome(genes, None, "a")
    with pytest.raises(ValueError, match="there is no hg19"):
        choose_genome(genes, "hg19", "a")
    mouse, _ = choose_genome(genes, "mm10", "a")
    assert mouse.is_counted.tolist() == [False, False, True, True, True, True]
    both, notes = choose_genome(genes, "all", "a")
    assert both.is_counted.all()
    assert notes == ("a: genes of 2 genomes are taken: GRCh38 (2 genes), mm10 (3 genes)",)


def test_one_genome_needs_no_choice() -> None:
    genes = name_genes(table(genome=["GRCh38"] * 6))
    assert choose_genome(genes, None, "a") == (genes, ())
    assert not any(genes.genomes)


def test_counts_of_other_features_are_taken_out_and_added_up() -> None:
    counts = np.array([[1, 2, 0, 4], [0, 5, 6, 0]])
    removed = RemovedFeatures(["", "features of type Antibody Capture", "", NO_NAME])
    for _ in range(2):  # two passes, each in two blocks of columns
        removed.start()
        left = removed.drop(sp.csr_array(counts[:, :2]), 0)
        right = removed.drop(sp.csr_array(counts[:, 2:]), 2)
        assert (left.toarray() == [[1, 0], [0, 0]]).all()
        assert (right.toarray() == [[0, 0], [6, 0]]).all()
        assert removed.counts.tolist() == [0, 7, 0, 4]
        assert left.has_canonical_format


def test_what_was_left_out_is_said_with_its_share() -> None:
    names = ["A", "ERCC-00002", "ERCC-00003", "B"]
    notes = left_out_notes("a", names, ["", SPIKE_IN, SPIKE_IN, ""], np.array([6.0, 1, 1, 2]))
    expected = "a: 2 spike-ins (such as ERCC-00002, ERCC-00003), with 20.0% of all counts, were"
    assert notes == [f"{expected} left out"]
