"""Vocabularies are learned from training cells or completed from files."""

import json
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.prepare.learned_vocabulary import learn_vocab, vocab_from_file
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS

MEDIANS = np.array([1.5, np.nan, 2.5])


def test_learned_from_expressed_genes() -> None:
    vocab = learn_vocab(MEDIANS, ["a", "b", "c"], gene_to_ens={"A": "a", "B": "b"})
    assert vocab.genes == ("a", "c")
    assert dict(vocab.medians) == {"a": 1.5, "c": 2.5}
    assert vocab.gene_to_ens == {"A": "a"}


def test_given_medians_choose_the_genes() -> None:
    assert learn_vocab(MEDIANS, ["a", "b", "c"], medians={"a": 9.0}).medians == {"a": 9.0}
    with pytest.raises(ValueError, match="no gene is left"):
        learn_vocab(MEDIANS, ["a", "b", "c"], medians={"z": 9.0})


def test_missing_special_tokens_are_added_at_the_end_and_said(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"<pad>": 0, "<mask>": 1, "a": 2, "b": 3}))
    vocab, notes = vocab_from_file(path, None, lambda: MEDIANS, ["a", "b", "c"])
    assert vocab.tokens == ("[PAD]", "[MASK]", "a", "b", "[CLS]", "[SEP]", "[UKW]")
    assert vocab.medians == {"a": 1.5, "b": 1.5}
    assert "[CLS], [SEP], [UKW]" in notes[0]
    assert "1 genes" in notes[1]


def test_a_list_of_tokens_and_medians_that_lack_a_gene(tmp_path: Path) -> None:
    path, medians = tmp_path / "genes.txt", tmp_path / "medians.json"
    path.write_text("\n".join([*SPECIAL_TOKENS, "a", "q"]))
    medians.write_text(json.dumps({"a": 2.0}))
    with pytest.raises(ValueError, match=r"medians\.json: medians are missing for 1 genes \(q\)"):
        vocab_from_file(path, medians, lambda: MEDIANS, ["a", "b", "c"])


def test_a_vocabulary_of_other_genes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_text("\n".join([*SPECIAL_TOKENS, "x"]))
    with pytest.raises(ValueError, match="express no gene of the vocabulary"):
        vocab_from_file(path, None, lambda: MEDIANS, ["a", "b", "c"])
