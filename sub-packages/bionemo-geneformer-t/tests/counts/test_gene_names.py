"""Ids are found by what columns hold, genes without one stay apart, and what is no gene is said."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.features import (
    NO_NAME,
    SPIKE_IN,
    RemovedFeatures,
    left_out_notes,
)
from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.joined_genes import choose_genome

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


@pytest.mark.parametrize("empty", [["nan", "nan-1", "nan-2"], ["NA", "NA.1", "NA.2"], ["", "-1"]])
def test_missing_names_that_were_made_unique_are_missing(empty: list[str]) -> None:
    """As anndata's `var_names_make_unique` and R's `make.unique` leave them."""
    genes = name_genes(table([*IDS, *empty]))
    assert genes.names == (*IDS, *[""] * len(empty))
    assert genes.left_out[6:] == (NO_NAME,) * len(empty)
    with_symbols = name_genes(table([*IDS[:3], *empty], gene_name=SYMBOLS[: 3 + len(empty)]))
    assert with_symbols.names == (*IDS[:3], *SYMBOLS[3 : 3 + len(empty)])


def test_what_looks_like_a_missing_name_made_unique_and_is_none() -> None:
    index = ["NANOG", "NAT1", "NA-HK", "RP11-34P13.7", "HLA-1", "NONE1"]
    assert name_genes(table(index)).names == tuple(index)


def test_summaries_of_reads_are_no_genes() -> None:
    rows = ["__no_feature", "__alignment_not_unique", "N_unmapped", "N_noFeature"]
    genes = name_genes(table([*IDS, *rows]))
    assert genes.left_out == ("",) * 6 + ("features of type summary of reads",) * 4
    removed = genes.removed
    assert removed is not None
    assert removed.is_removed.tolist() == [False] * 6 + [True] * 4


@pytest.mark.parametrize("name", ["ERCC00002", "ERCC92_ERCC-00002", "ERCC92___ERCC-00002"])
def test_spike_ins_under_other_spellings(name: str) -> None:
    assert name_genes(table([name, "ERCC6"])).left_out == (SPIKE_IN, "")


@pytest.mark.parametrize("column", ["type", "modality", "library"])
def test_types_of_features_are_recognised_by_what_a_column_holds(column: str) -> None:
    kinds = ["RNA", "RNA", "RNA", "ADT", "HTO", None]
    for given in (kinds, pd.Categorical(kinds)):
        genes = name_genes(table(**{column: given}))
        assert genes.is_counted.tolist() == [True, True, True, False, False, True]
    of_other_use = ["gene", "gene", "pseudogene", "protein_coding", "gene", "gene"]
    assert name_genes(table(**{column: of_other_use})).is_counted.all()


def test_two_species_without_an_assembly_before_their_ids_are_two_genomes() -> None:
    human = [f"ENSG{i:011d}.{i % 9}" for i in range(120)]
    mouse = [f"ENSMUSG{i:011d}" for i in range(110)]
    for var in (
        table([*human, *mouse, "EGFP"]),
        table(list("a" * 231), gene_ids=[*human, *mouse, ""]),
    ):
        with pytest.raises(
            ValueError, match=r"2 genomes: ENSG \(120 genes\), ENSMUSG \(110 genes\)"
        ):
            choose_genome(name_genes(var), None, "a")
        kept, _ = choose_genome(name_genes(var), "ENSMUSG", "a")
        assert kept.is_counted.tolist() == [False] * 120 + [True] * 111
    transgenes = name_genes(table([*human, *mouse[:99]]))
    assert choose_genome(transgenes, None, "a") == (transgenes, ())


@pytest.mark.parametrize(
    ("human", "mouse"), [("HUMAN_", "MOUSE_"), ("hg19-", "mm10-"), ("GRCh38---", "mm10---")]
)
def test_genomes_under_other_spellings(human: str, mouse: str) -> None:
    genes = name_genes(table([human + "HLA-A", human + "SOX2", mouse + "Sox2"]))
    kept, _ = choose_genome(genes, human.strip("_-"), "a")
    assert kept.is_counted.tolist() == [True, True, False]


def test_names_that_differ_in_a_blank_alone_stay_apart_and_ids_lose_theirs() -> None:
    symbols = pd.Index(["A", "A ", "A\x85", "B"], dtype=object)
    assert name_genes(pd.DataFrame(index=symbols)).names == tuple(symbols)
    ids = [f" ENSG{i:011d} " for i in range(4)]
    padded = name_genes(pd.DataFrame({"gene_ids": ids}, index=["A", "B", "C", "D"]))
    assert padded.names == tuple(f"ENSG{i:011d}" for i in range(4))


def test_a_person_reads_symbols_where_there_are_any() -> None:
    genes = name_genes(table(IDS, feature_name=["A", "", IDS[2], "mm10_B", "C.1", "7"]))
    assert genes.readable == ("A", IDS[1], IDS[2], "mm10_B", "C.1", IDS[5])


def test_an_index_of_symbols_with_some_ids_has_their_symbols_in_the_column() -> None:
    index = [*SYMBOLS[:4], *IDS[4:]]
    genes = name_genes(table(index, feature_id=IDS, feature_name=["X", *SYMBOLS[1:5], ""]))
    assert genes.symbols == (*SYMBOLS[:5], IDS[5])
