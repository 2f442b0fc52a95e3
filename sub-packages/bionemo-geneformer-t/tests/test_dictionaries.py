"""Dictionaries are read; code in them is not run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

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
