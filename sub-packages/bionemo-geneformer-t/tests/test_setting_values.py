"""Whatever kind of number a caller has, settings hold Python's own, or refuse it by name."""

import enum
import importlib
import pkgutil
from dataclasses import fields
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch

import bionemo.geneformer_t
from bionemo.geneformer_t.config import BioBertConfig, EmbeddingSettings, PairSettings
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings
from bionemo.geneformer_t.setting_values import (
    Settings,
    plain_value,
    require_at_least,
    require_fraction,
    require_positive,
)

PLAIN = (bool, int, float, str, type(None), type(Path()))


class Word(enum.StrEnum):
    MEAN = "mean"


pytestmark = pytest.mark.usefixtures("without_type_checks")


def settings_types() -> list[type[Settings]]:
    for module in pkgutil.walk_packages(bionemo.geneformer_t.__path__, "bionemo.geneformer_t."):
        importlib.import_module(module.name)
    found, new = set(), {Settings}
    while new:
        found |= new
        new = {below for above in new for below in above.__subclasses__()}
    return sorted(found - {Settings}, key=lambda kind: kind.__name__)


def foreign(value):
    """The same value as NumPy would have it."""
    kinds = {bool: np.bool_, int: np.int64, float: np.float64, str: np.str_}
    if isinstance(value, tuple):
        return np.array(value)
    return kinds.get(type(value), lambda same: same)(value)


@pytest.mark.parametrize("kind", settings_types(), ids=lambda kind: kind.__name__)
def test_every_settings_object_holds_plain_values(kind):
    places = {"input", "checkpoint", "data_dir", "output_dir", "first", "output"}
    given = {
        field.name: np.str_("a.h5ad") if field.name in places else foreign(field.default)
        for field in fields(kind)
        if field.name in places or isinstance(field.default, bool | int | float | str | tuple)
    }
    required = {"int": np.int64(1), "float": np.float64(1), "str": np.str_("name")}
    given |= {
        name: required[getattr(hint, "__name__", "")]
        for name, hint in get_type_hints(kind).items()
        if name not in given and getattr(hint, "__name__", "") in required
    }
    if "method" in kind.__dataclass_fields__:
        given["method"] = np.array(["knn"])  # `prepare` must be told how
    if kind.__name__ == "DriversSettings":
        given["output"] = np.str_("a.csv")  # what it writes is a table
    settings = kind(**given)
    plain = kind(**{name: getattr(settings, name) for name in given})
    assert settings == plain
    for field in fields(kind):
        value = getattr(settings, field.name)
        many = value if isinstance(value, tuple) else (value,)
        assert all(type(one) in PLAIN for one in many), field.name


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(64), 64), (np.uint8(64), 64), (torch.tensor(64), 64), (np.array(64), 64),
        (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.float16(0.5), 0.5),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5), (np.bool_(True), True),
        (torch.tensor(False), False), (np.str_("mean"), "mean"), (Word.MEAN, "mean"),
        (1, 1), (1.5, 1.5), (None, None), ("x", "x"), (np.array(["a", "b"]), ["a", "b"]),
        (pd.Index(["a", "b"]), ["a", "b"]), (pd.Categorical(["a", "b"]), ["a", "b"]),
    ],
)  # fmt: skip
def test_a_value_of_another_library_becomes_pythons(value, plain):
    found = plain_value(value)
    assert found == plain
    assert type(found) is type(plain)


def test_each_field_gets_its_own_type():
    config = BioBertConfig(hidden_size=torch.tensor(16), hidden_dropout_prob=0)
    assert (type(config.hidden_size), type(config.hidden_dropout_prob)) == (int, float)
    assert PairSettings(neighbor_key=PurePosixPath("a/b")).neighbor_key == "a/b"
    assert EmbeddingSettings(pooling=Word.MEAN).pooling == "mean"
    builder = BuilderSettings(time_order=pd.Index(["a", "b"]), num_neighbors=np.int32(3))
    assert builder.time_order == ("a", "b")


@pytest.mark.parametrize(
    ("kind", "given", "error", "message"),
    [
        (BioBertConfig, {"hidden_size": 64.5}, TypeError, "hidden_size must be a whole number"),
        (BioBertConfig, {"hidden_size": np.float64(64)}, TypeError, "hidden_size must be a whole"),
        (BioBertConfig, {"hidden_size": torch.zeros(2)}, TypeError, "hidden_size must be a whole"),
        (BioBertConfig, {"layer_norm_eps": float("nan")}, TypeError, "layer_norm_eps must be a"),
        (PairSettings, {"only_cells_with_neighbors": 1}, TypeError, "must be true or false; got 1"),
        (PairSettings, {"seed": True}, TypeError, "seed must be a whole number; got True"),
        (PairSettings, {"target_sum": {1}}, TypeError, "target_sum must be a finite number"),
        (PairSettings, {"objective": "next"}, ValueError, "objective must be one of 'next_cell'"),
        (BuilderSettings, {"root": np.datetime64("2020")}, TypeError, "root must be text or no"),
    ],
)
def test_what_cannot_be_made_plain_is_refused_by_name(kind, given, error, message):
    with pytest.raises(error, match=message):
        kind(**given)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (lambda s: require_at_least(s, 1, "n"), 0, "n must be at least 1; got 0"),
        (lambda s: require_at_least(s, 0, "n"), -1, "n must not be negative; got -1"),
        (lambda s: require_positive(s, "n"), 0.0, r"n must be positive; got 0\.0"),
        (lambda s: require_fraction(s, "n"), 1.5, r"n must be in \[0, 1\]; got 1\.5"),
        (lambda s: require_fraction(s, "n", zero=False), 0, r"n must be in \(0, 1\]; got 0"),
        (lambda s: require_fraction(s, "n", one=False), 1, r"n must be in \[0, 1\); got 1"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(check, value, message) -> None:
    with pytest.raises(ValueError, match=message):
        check(SimpleNamespace(n=value))
    check(SimpleNamespace(n=None))
