"""A gene is found by whatever data call it, and never by the name of another species' gene."""

import pytest

from bionemo.geneformer_t.dictionaries import read_dictionary
from bionemo.geneformer_t.gene_lookup import (
    GeneLookup,
    ensembl_species,
    in_capitals,
    is_stable_id,
    split_genome,
    without_version,
)

TOKENS = ["ENSG00000000001", "ENSG00000000002.7", "C3orf7", "SOX2"]
SYNONYMS = {"C21orf62": "ENSG00000000001", "OCT4": "ENSG00000000002", "lost": "ENSG00000000009"}


@pytest.fixture
def lookup() -> GeneLookup:
    return GeneLookup(TOKENS, SYNONYMS)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("ENSG00000000001", "ENSG00000000001"),
        ("ENSG00000000001.12", "ENSG00000000001"),
        ("ENSG00000000002", "ENSG00000000002.7"),  # versions are ignored on both sides
        ("ENSG00000000002.3", "ENSG00000000002.7"),
        ("OCT4", "ENSG00000000002.7"),
        ("C21ORF62", "ENSG00000000001"),  # so is the case of human symbols
        ("C21orf62", "ENSG00000000001"),
        ("C3ORF7", "C3orf7"),
        ("GRCh38_SOX2", "SOX2"),
        ("GRCh38_ENSG00000000001.12", "ENSG00000000001"),
        ("Sox2", None),  # a mouse's
        ("sox2", None),  # a fish's
        ("oct4", None),
        ("c21orf62", None),
        ("mm10___Sox2", None),
        ("lost", None),
        ("", None),
    ],
)
def test_names_and_their_tokens(lookup: GeneLookup, name: str, token: str | None) -> None:
    assert lookup.find(name) == token


def test_symbols_of_a_mouse_are_not_found_by_human_ones() -> None:
    mouse = GeneLookup(["Sox2", "Pax6"], {"Oct4": "Sox2"})
    assert [mouse.find(name) for name in ("SOX2", "PAX6", "OCT4", "Pax6")] == [None] * 3 + ["Pax6"]


def test_a_name_of_two_tokens_is_no_name() -> None:
    ids = [f"ENSG0000000000{number}" for number in ("1.1", "1.2", "2", "2.1")]
    lookup = GeneLookup([*ids, "C1orf1", "C1ORF1"], {})
    assert lookup.find("ENSG00000000001") is None
    assert lookup.find("ENSG00000000002.9") == "ENSG00000000002"
    assert lookup.find("ENSG00000000001.2") == "ENSG00000000001.2"
    assert lookup.find("C1ORF1") == "C1ORF1"


def test_parts_of_names() -> None:
    assert without_version("ENSMUSG00000000001.4") == "ENSMUSG00000000001"
    assert without_version("RP11-34P13.7") == "RP11-34P13.7"
    assert split_genome("mm10___Xkr4") == ("mm10", "Xkr4")
    assert split_genome("GRCh38-2020-A_TNNT2") == ("GRCh38-2020-A", "TNNT2")
    assert split_genome("HLA_A") == ("", "HLA_A")
    ids = ["ENSG00000000003.15", "ENSDARG00000000001", "FBgn0000008", "AT1G01010", "YAL001C"]
    assert all(map(is_stable_id, ids))
    assert not any(map(is_stable_id, ["TNNT2", "ENST00000000001", "ATG5", "YAP1", "", "ENSG"]))
    assert in_capitals("DKFZp686D0853") == "DKFZP686D0853"
    assert in_capitals("Mrpl15") is None


@pytest.mark.parametrize(("name", "number"), [("gc30M", 266), ("gc95M", 237)])
def test_published_symbols_are_found_in_data_in_capitals(real_data, name, number) -> None:
    folder = real_data / "geneformer_dictionaries"
    names = read_dictionary(folder / f"gene_name_id_dict_{name}.pkl")
    tokens = set(read_dictionary(folder / f"token_dictionary_{name}.pkl"))
    lookup = GeneLookup(tokens, names)
    wanted = {s: gene for s, gene in names.items() if gene in tokens and s.upper() not in names}
    assert len(wanted) == number
    assert {s: lookup.find(s.upper()) for s in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("HUMAN_A1BG", ("HUMAN", "A1BG")),
        ("mm10---Xkr4", ("mm10", "Xkr4")),  # Seurat makes dashes of underscores
        ("GRCh38-HLA-A", ("GRCh38", "HLA-A")),
        ("HLA-A", ("", "HLA-A")),
        ("T2T-CHM13_SOX2", ("T2T-CHM13", "SOX2")),
        ("mm10", ("", "mm10")),
    ],
)
def test_assemblies_before_names(name: str, parts: tuple[str, str]) -> None:
    assert split_genome(name) == parts


def test_the_species_of_an_id() -> None:
    names = ["ENSG00000000003.15", "ENSMUSG00000000001", "SOX2", "ENST00000000001", "FBgn0000008"]
    assert list(map(ensembl_species, names)) == ["ENSG", "ENSMUSG", "", "", ""]
