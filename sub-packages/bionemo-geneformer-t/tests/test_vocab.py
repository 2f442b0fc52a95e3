"""The vocabulary: what it reads, what it refuses, and when two are the same."""

import json
import pickle

import numpy as np
import pytest

from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_tokens

GENES = {"ENSG00000000001": 2.0, "ENSG00000000002": 1.5, "ENSG00000000003": 3.0}


@pytest.fixture
def vocab() -> GeneVocab:
    return GeneVocab.of_genes(GENES, {"TNNT2": "ENSG00000000002"})


def test_genes_are_found_by_id_by_versioned_id_and_by_symbol(vocab):
    ids = vocab.encode(["ENSG00000000001", "ENSG00000000001.7", "TNNT2", "XIST", "[CLS]"])
    assert ids.tolist() == [5, 5, 6, -1, -1]


def test_versioned_tokens_are_found_by_any_version():
    vocab = GeneVocab.of_genes({"ENSG00000000001.4": 1.0, "ENSG00000000002": 1.0})
    names = ["ENSG00000000001", "ENSG00000000001.4", "ENSG00000000001.9", "ENSG00000000002.1"]
    assert vocab.encode(names).tolist() == [5, 5, 5, 6]


def test_human_symbols_are_found_in_capitals_and_those_of_mice_are_not():
    vocab = GeneVocab.of_genes(GENES, {"C21orf62": "ENSG00000000001", "SOX2": "ENSG00000000002"})
    assert vocab.encode(["C21ORF62", "C21orf62", "SOX2", "Sox2"]).tolist() == [5, 5, 6, -1]


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_symbol_of_a_special_token_is_refused(token):
    with pytest.raises(ValueError, match=r"gene_to_ens must map symbols to genes; .*\(TNNT2\)"):
        GeneVocab.of_genes(GENES, {"TNNT2": token})


def test_a_token_without_a_name_is_refused():
    """It would be found by every name that is not known."""
    with pytest.raises(ValueError, match="a token without a name"):
        GeneVocab.of_genes({**GENES, "": 1.0})


def test_special_tokens_are_not_genes(vocab):
    assert vocab.genes == tuple(GENES)
    assert set(vocab.decode(vocab.gene_ids)) == set(GENES)
    assert vocab.decode(vocab.special_ids) == list(SPECIAL_TOKENS)


def test_files_and_checkpoints_give_the_same_vocabulary_back(vocab, tmp_path):
    vocab.write(tmp_path / "geneformer.vocab", tmp_path / "medians.json")
    for other in (
        GeneVocab.read(tmp_path / "geneformer.vocab", tmp_path / "medians.json"),
        GeneVocab.from_dict(json.loads(json.dumps(vocab.to_dict()))),
    ):
        assert other.tokens == vocab.tokens
        assert other.gene_to_ens == vocab.gene_to_ens
        assert other.fingerprint == vocab.fingerprint


def test_other_medians_or_another_order_are_another_vocabulary(vocab):
    other_medians = GeneVocab.of_genes({**GENES, "ENSG00000000001": 2.1})
    other_order = GeneVocab.of_genes(dict(reversed(GENES.items())))
    assert len({vocab.fingerprint, other_medians.fingerprint, other_order.fingerprint}) == 3


def test_a_plain_list_of_tokens_is_a_vocabulary(tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_text("\n".join([*SPECIAL_TOKENS, *GENES]) + "\n")
    assert read_tokens(path) == ((*SPECIAL_TOKENS, *GENES), {})


def test_geneformers_own_special_tokens_are_read_as_ours(tmp_path):
    path = tmp_path / "token_dictionary.pkl"
    path.write_bytes(pickle.dumps({"<pad>": 0, "<mask>": 1, "ENSG1": np.int16(2)}))
    assert read_tokens(path)[0] == ("[PAD]", "[MASK]", "ENSG1")


@pytest.mark.slow
def test_the_published_dictionaries_are_read(real_data):
    folder = real_data / "geneformer_dictionaries"
    v1, _ = read_tokens(folder / "token_dictionary_gc30M.pkl")
    v2, _ = read_tokens(folder / "token_dictionary_gc95M.pkl")
    assert (len(v1), len(v2)) == (25_426, 20_275)
    assert v2[:4] == ("[PAD]", "[MASK]", "[CLS]", "[SEP]")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"[CLS]": 0, "ENSG1": 1}, r"lacks the special tokens \[MASK\], \[PAD\]"),
        ({"ENSG1": 0, "ENSG2": 2}, "the ids of 2 tokens must be 0 to 1, each once"),
        ({"ENSG1": "0"}, "must map each token to its number"),
    ],
)
def test_unusable_vocabularies_are_refused_by_file(tmp_path, content, message):
    (tmp_path / "geneformer.vocab").write_text(json.dumps({"vocab": content, "gene_to_ens": {}}))
    (tmp_path / "medians.json").write_text("{}")
    with pytest.raises(ValueError, match=message) as caught:
        GeneVocab.read(tmp_path / "geneformer.vocab", tmp_path / "medians.json")
    assert "geneformer.vocab" in str(caught.value)


@pytest.mark.parametrize(
    ("medians", "message"),
    [
        ({"ENSG00000000001": 1.0}, r"medians are missing for 2 genes \(ENSG00000000002"),
        ({**GENES, "ENSG00000000002": 0.0}, r"must be positive.*1 genes \(ENSG00000000002\)"),
        ({**GENES, "ENSG00000000002": -1.0}, "ENSG00000000002 has -1.0"),
        ({**GENES, "ENSG00000000002": float("nan")}, "must be positive"),
        ({**GENES, "ENSG00000000002": "high"}, "must map genes to numbers"),
    ],
)
def test_unusable_medians_are_refused(vocab, tmp_path, medians, message):
    vocab.write(tmp_path / "geneformer.vocab", tmp_path / "medians.json")
    (tmp_path / "medians.json").write_text(json.dumps(medians))
    with pytest.raises(ValueError, match=message):
        GeneVocab.read(tmp_path / "geneformer.vocab", tmp_path / "medians.json")


def test_a_token_listed_twice_is_refused(tmp_path):
    path = tmp_path / "geneformer.vocab"
    path.write_text("\n".join([*SPECIAL_TOKENS, "ENSG1", "ENSG1"]))
    (tmp_path / "medians.json").write_text('{"ENSG1": 1.0}')
    with pytest.raises(ValueError, match="holds tokens twice: ENSG1"):
        GeneVocab.read(path, tmp_path / "medians.json")


def test_a_truncated_vocabulary_is_refused_by_name(vocab, tmp_path):
    path = tmp_path / "geneformer.vocab"
    vocab.write(path, tmp_path / "medians.json")
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match=r"geneformer\.vocab is not valid JSON"):
        read_tokens(path)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected the vocabulary in .*no.vocab"):
        read_tokens(tmp_path / "no.vocab")
