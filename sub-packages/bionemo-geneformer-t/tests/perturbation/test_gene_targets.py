"""Names become targets, and what is no gene is refused with what was probably meant."""

import numpy as np
import pytest

from bionemo.geneformer_t.perturbation.gene_targets import read_names, targets_of
from bionemo.geneformer_t.vocab import GeneVocab

VOCAB = GeneVocab.of_genes(
    {"ENSG1": 1.0, "ENSG2": 1.0, "ENSG3": 1.0, "ENSG4": 1.0},
)
SYMBOLS = ["", "", "", "", "", "PAX4", "ARX", "NEUROG3", "GCG"]
EXPRESSED = np.array([0, 0, 0, 0, 0, 12, 3, 9, 0])


def targets(*names: str) -> dict[tuple[int, ...], str]:
    return targets_of(names, VOCAB, SYMBOLS, EXPRESSED, 40)


def test_symbols_and_ids_are_one_gene_and_combinations_have_no_order() -> None:
    assert len(VOCAB) == len(SYMBOLS)
    pax, arx = VOCAB.encode(["ENSG1", "ENSG2"]).tolist()
    assert targets("PAX4", "ENSG2") == {(pax,): "PAX4", (arx,): "ARX"}
    assert targets("PAX4+ARX", "ENSG2 + ENSG1", "PAX4") == {
        (pax, arx): "PAX4+ARX", (pax,): "PAX4",
    }  # fmt: skip


def test_unknown_genes_are_named_with_close_ones_and_who_expresses_them() -> None:
    with pytest.raises(ValueError, match=r"NEUROG1, pax44 are not .* of 4 genes") as error:
        targets("ARX", "NEUROG1", "pax44")
    assert "the cells express 3; did you mean NEUROG3 (expressed by 9 of 40 cells)" in str(
        error.value
    )
    assert "PAX4 (expressed by 12 of 40 cells)?" in str(error.value)
    with pytest.raises(ValueError, match=r"QQQQ is not .*; name them by Ensembl id or symbol"):
        targets("QQQQ")
    with pytest.raises(ValueError, match=r"my/genes is not .* Nor is there a file of this name"):
        targets("my/genes")


@pytest.mark.parametrize("name", ["ARX+ARX", "ARX+ENSG2", "PAX4+ENSG2+ARX"])
def test_a_combination_holds_each_gene_once(name) -> None:
    with pytest.raises(
        ValueError,
        match=r"names (ARX twice; name|(ENSG2 and ARX|ARX and ENSG2), which are one gene, ENSG2)",
    ):
        targets(name)


def test_names_come_from_commas_or_from_the_lines_of_a_file(tmp_path) -> None:
    assert read_names("PAX4, ARX+GCG,,PAX4") == ["PAX4", "ARX+GCG"]
    path = tmp_path / "genes.txt"
    path.write_text("PAX4\n\nARX+GCG\n")
    assert read_names(str(path)) == ["PAX4", "ARX+GCG"]
    path.write_text("\n")
    with pytest.raises(ValueError, match=r"the file .* is empty"):
        read_names(str(path))
    with pytest.raises(ValueError, match="genes must be all, names"):
        read_names(",")
