"""Dictionaries are read; code in them is not run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t import dictionaries
from bionemo.geneformer_t.dictionaries import read_dictionary


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_python_and_numpy_come_back(tmp_path, protocol):
    values = {"a": 1, "b": 2.5, "c": np.float64(3.25), "d": np.int16(-4), "e": np.float32(0.5)}
    path = tmp_path / "medians.pkl"
    path.write_bytes(pickle.dumps(values, protocol=protocol))
    assert read_dictionary(path) == {"a": 1, "b": 2.5, "c": 3.25, "d": -4, "e": 0.5}


def test_a_pickle_that_asks_to_run_code_is_refused_by_name_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tokens.pkl"
    path.write_bytes(pickle.dumps({"gene": Hostile()}))
    with pytest.raises(ValueError, match=r"tokens.pkl was refused: it asks to import \w+.mkdir"):
        read_dictionary(path)
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    "value", [np.array([1.0, 2.0]), np.str_("x"), np.datetime64("2020-01-01"), {1, 2}, print]
)
def test_other_values_are_refused(tmp_path, value):
    path = tmp_path / "tokens.pkl"
    path.write_bytes(pickle.dumps({"gene": value}))
    if isinstance(value, set):  # a plain value to pickle, and no token: the reader's caller minds
        assert read_dictionary(path) == {"gene": value}
        return
    with pytest.raises(ValueError, match="was refused"):
        read_dictionary(path)


def test_every_truncation_is_an_error_that_names_the_file(tmp_path):
    whole = pickle.dumps({"a": np.float64(3.25), "b": 1}, protocol=4)
    path = tmp_path / "medians.pkl"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"medians\.pkl"):
            read_dictionary(path)


@pytest.mark.parametrize("content", [b"[1, 2]", b"{", b"\xff\xfe", b""])
def test_json_that_is_no_dictionary_is_refused(tmp_path, content):
    path = tmp_path / "medians.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"medians\.json"):
        read_dictionary(path)


def test_a_pickle_of_more_instructions_than_any_dictionary_has_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "tokens.pkl"
    path.write_bytes(pickle.dumps({f"ENSG{i}": i for i in range(20)}))
    assert len(read_dictionary(path)) == 20
    monkeypatch.setattr(dictionaries, "MOST_STEPS", 40)
    with pytest.raises(ValueError, match=r"tokens\.pkl was refused: it has more than 40 instruct"):
        read_dictionary(path)


@pytest.mark.parametrize("key", [("a", "b"), ((), ()), frozenset({"a"})])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_keys_are_plain_values(tmp_path, key, protocol):
    """Nothing is hashed that holds other values: that could take time without end."""
    path = tmp_path / "tokens.pkl"
    for values in ({key: 1}, {"a": {key, "b"}}, {"a": 1, "b": {"c": {key: 1}}}):
        path.write_bytes(pickle.dumps(values, protocol=protocol))
        with pytest.raises(ValueError, match=r"tokens\.pkl was refused"):
            read_dictionary(path)


def with_state(name: str, state: object) -> bytes:
    """A pickle that sets the state of what stands for a function or a class of NumPy."""
    module, function = name.rsplit(".", 1)
    return f"c{module}\n{function}\n".encode() + pickle.dumps(state, protocol=0)[:-1] + b"b."


@pytest.mark.parametrize("name", ["numpy.dtype", "numpy.core.multiarray.scalar", "_codecs.encode"])
def test_a_pickle_changes_nothing_of_the_program(tmp_path, name):
    path = tmp_path / "tokens.pkl"
    for state in ({"mark": "owned"}, (None, {"mark": "owned"})):
        path.write_bytes(with_state(name, state))
        with pytest.raises(ValueError, match="was refused: it sets the state of a"):
            read_dictionary(path)
    for ours in (dictionaries._NumberType, dictionaries._number, dictionaries._latin_1):
        assert not hasattr(ours, "mark")


def test_texts_longer_than_any_number_are_not_encoded_time_and_again(tmp_path):
    path = tmp_path / "tokens.pkl"
    path.write_bytes(pickle.dumps({"a": b"\xff" * 65}, protocol=2))
    with pytest.raises(ValueError, match="as no number of NumPy needs it"):
        read_dictionary(path)


def test_instructions_that_no_dictionary_needs_are_refused(tmp_path):
    path = tmp_path / "tokens.pkl"
    for content in (bytearray(b"abc"), complex(1, 2)):
        path.write_bytes(pickle.dumps({"a": content}, protocol=5))
        with pytest.raises(
            ValueError, match=r"was refused: it (holds the instruction|asks to imp)"
        ):
            read_dictionary(path)
