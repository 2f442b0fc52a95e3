"""Dictionaries and vocabularies of any content: right, or refused by their name."""

import json
import math
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import result_or_refusal

from bionemo.geneformer_t.dictionaries import read_dictionary, read_json
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_tokens

FEW = settings(max_examples=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)
MEDIANS = st.dictionaries(
    NAMES.filter(lambda name: name not in SPECIAL_TOKENS and not name.startswith("<")),
    st.floats(min_value=1e-6, max_value=1e6),
    max_size=30,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hard")


@pytest.mark.slow
@FEW
@given(value=JSON)
def test_any_json_comes_back_or_is_refused_as_no_dictionary(folder, value):
    path = folder / "values.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_json(path) == value
    found = result_or_refusal(lambda: read_dictionary(path), path)
    assert found == (value if isinstance(value, dict) else None)


@FEW
@given(content=st.binary(max_size=64) | JSON.map(lambda v: json.dumps(v).encode()[:-1]))
@pytest.mark.parametrize("name", ["values.json", "values.pkl"])
def test_any_bytes_are_read_or_refused(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    found = result_or_refusal(lambda: read_dictionary(path), path)
    assert found is None or all(isinstance(key, str) for key in found)


@FEW
@given(value=st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False)),
       protocol=st.integers(0, 5), data=st.data())  # fmt: skip
@pytest.mark.slow
def test_a_changed_byte_of_a_pickle_gives_a_dictionary_or_a_refusal(folder, value, protocol, data):
    path = folder / "values.pkl"
    content = bytearray(pickle.dumps(value, protocol=protocol))
    path.write_bytes(content)
    assert read_dictionary(path) == value
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    found = result_or_refusal(lambda: read_dictionary(path), path)
    assert found is None or all(isinstance(key, str) for key in found)


@FEW
@given(medians=MEDIANS, symbols=st.dictionaries(st.text(), st.text(), max_size=5))
def test_a_vocabulary_comes_back_as_it_was_written(folder, medians, symbols):
    vocab, values = folder / "geneformer.vocab", folder / "medians.json"
    written = GeneVocab.of_genes(medians, symbols)
    written.write(vocab, values)
    found = GeneVocab.read(vocab, values)
    assert found == written
    assert found.fingerprint == written.fingerprint


@FEW
@given(content=st.one_of(
    st.binary(max_size=60),
    st.dictionaries(st.text(max_size=5), st.integers(-1, 6) | JSON).map(json.dumps).map(str.encode),
    st.lists(st.sampled_from([*SPECIAL_TOKENS, "<pad>", "G1", "G2", "é"])).map(
        lambda tokens: "\n".join(tokens).encode()
    ),
), medians=st.dictionaries(st.sampled_from(["G1", "G2", "é"]), JSON))  # fmt: skip
def test_any_vocabulary_is_usable_or_refused(folder, content, medians):
    vocab, values = folder / "geneformer.vocab", folder / "medians.json"
    vocab.write_bytes(content)
    values.write_text(json.dumps(medians))
    tokens = result_or_refusal(lambda: read_tokens(vocab), vocab)
    try:
        found = result_or_refusal(lambda: GeneVocab.read(vocab, values), vocab)
    except AssertionError:  # it was the other file that was refused
        found = result_or_refusal(lambda: GeneVocab.read(vocab, values), values)
    if found is not None:
        assert tokens is not None
        assert found.tokens == tokens[0]
        assert len(found.fingerprint) == 64
        assert all(0 < value < math.inf for value in found.median_of_id)


def test_a_name_twice_in_one_object_is_refused(folder):
    path = folder / "twice.json"
    path.write_text('{"outer": {"c0": ["c1"], "c0": ["c2"]}}')
    with pytest.raises(ValueError, match=r"twice\.json holds the name 'c0' twice"):
        read_json(path)


def test_a_number_of_too_many_digits_is_refused_by_file(folder):
    path = folder / "digits.json"
    path.write_text('{"a": ' + "1" * 5000 + "}")
    with pytest.raises(ValueError, match=r"digits\.json is not valid JSON"):
        read_json(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\xff.",  # a protocol to come
        b"I1x\n.",  # no number
        b"]r\xff\xff\xff\x7f0r",  # a place in the memo that would take 32 GiB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # bytes without end
        b"J\x00.",  # half a number
    ],
)
def test_damaged_pickles_are_refused_by_file(folder, content):
    path = folder / "damaged.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.pkl is not a complete pickle"):
        read_dictionary(path)


@pytest.mark.parametrize(
    "content",
    [
        b"]r\xff\xff\xff\x01." + b"0",  # a place in the memo that would take 512 MiB
        b"\x80\x05\x96\x00\x00\x00\x10\x00\x00\x00\x00.",  # a byte array of 256 MiB
        b"\x80\x04\x8e\x00\x00\x00\x10\x00\x00\x00\x00.",  # bytes of 256 MiB
        b"\x80\x04\x95\x00\x00\x00\x10\x00\x00\x00\x00.",  # a frame of 256 MiB
    ],
)
def test_what_a_pickle_claims_to_hold_takes_no_memory(folder, content):
    path = folder / "claims.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"claims\.pkl"):
            read_dictionary(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def pickled(value, protocol=2):
    return pickle.dumps({"G1": value}, protocol=protocol)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickled(np.float64(1.5)).replace(b"U\x01<", b"U\x01?").replace(
            b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00?"), "byte order '\\?'"),
        (pickled(np.float64(1.5), 4).replace(b"f8", b"f4"), "scalar of the wrong size"),
        (pickled(np.float64(1.5)).replace(b"latin1", b"utf-16"), "encodes text as 'utf-16'"),
        (pickle.dumps({1: 2}), "a dictionary with the key 1 of type int"),
        (pickle.dumps([1]), "a value of type list"),
    ],
)  # fmt: skip
def test_pickles_that_mean_something_else_are_refused_by_what_they_hold(folder, content, message):
    path = folder / "odd.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.pkl .*{message}"):
        read_dictionary(path)


def test_symbols_must_lead_to_gene_ids(folder):
    path = folder / "symbols.vocab"
    path.write_text('{"vocab": {"G1": 0}, "gene_to_ens": {"S1": 5}}')
    with pytest.raises(ValueError, match="`gene_to_ens` must map gene symbols to gene ids"):
        read_tokens(path)


def test_a_median_beyond_all_floats_is_refused(folder):
    vocab, values = folder / "geneformer.vocab", folder / "medians.json"
    vocab.write_text("\n".join([*SPECIAL_TOKENS, "G1"]))
    values.write_text('{"G1": 1' + "0" * 400 + "}")
    with pytest.raises(ValueError, match=r"medians\.json must map genes to numbers"):
        GeneVocab.read(vocab, values)


def test_a_vocabulary_that_is_no_text_is_refused_by_file(folder):
    path = folder / "binary.vocab"
    path.write_bytes(b"\x80\x04}.")
    with pytest.raises(ValueError, match=r"binary\.vocab is neither JSON nor text"):
        read_tokens(path)


def test_many_tokens_that_stand_twice_are_refused_at_once(folder):
    path, values = folder / "many.vocab", folder / "medians.json"
    genes = [f"G{i}" for i in range(30_000)]
    path.write_text("\n".join([*SPECIAL_TOKENS, *genes, *genes]))
    values.write_text(json.dumps(dict.fromkeys(genes, 1.0)))
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"holds tokens twice: G0, G1"):
        GeneVocab.read(path, values)
    assert time.monotonic() - start < 10  # seconds; it was quadratic
