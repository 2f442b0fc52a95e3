"""YAML of any content: settings, or a refusal that names the file."""

from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import result_or_refusal

from bionemo.geneformer_t.run.command import read_config, resolve
from bionemo.geneformer_t.setting_values import typed
from bionemo.geneformer_t.training.settings import TrainSettings

HINTS = get_type_hints(TrainSettings)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hard") / "config.yaml"


@settings(max_examples=60)
@given(values=st.dictionaries(
    st.sampled_from(["data_dir", "seq_length", "mask_prob", "devices", "max_steps"]), VALUES
))  # fmt: skip
def test_what_was_dumped_comes_back(path, values):
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert result_or_refusal(lambda: read_config(path, TrainSettings), path) == values


@settings(max_examples=120)
@given(content=st.binary(max_size=60)
       | st.text("{}[]:-&*!?|>'\"%@#,~ \n\t0123x_.e=<", max_size=40).map(str.encode)
       | st.recursive(VALUES, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)
       .map(yaml.safe_dump).map(str.encode))  # fmt: skip
def test_any_bytes_are_settings_or_refused(path, content):
    path.write_bytes(content)
    found = result_or_refusal(lambda: read_config(path, TrainSettings), path)
    assert found is None or found == {}


@pytest.mark.parametrize(
    "content",
    [
        b"seq_length: 2026-13-45",
        b"seq_length: !!timestamp x",
        b"seq_length: !!bool x",
        b"seq_length: 0b_",
        b"\xff\xfe\xfd",
        b"[" * 5000,
    ],
)
def test_what_breaks_the_reader_of_yaml_is_refused_by_file(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.yaml cannot be read|not valid YAML"):
        read_config(path, TrainSettings)


@pytest.mark.parametrize("content", ["0", "false", "[]", "''"])
def test_what_is_no_settings_is_not_taken_for_none(path, content):
    path.write_text(content)
    with pytest.raises(ValueError, match="must map names of settings to values"):
        read_config(path, TrainSettings)


def test_a_setting_given_twice_is_refused(path):
    path.write_text("seq_length: 64\nmax_steps: 2\nseq_length: 128\n")
    with pytest.raises(ValueError, match=r"config\.yaml gives settings twice: seq_length"):
        read_config(path, TrainSettings)


def test_a_list_of_itself_many_times_over_is_refused_at_once(path):
    lines = ["- &a0 [x]", *(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40))]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="got a list"):
        read_config(path, TrainSettings)


def is_of(hint: object, value: object) -> bool:
    """What a reader of the settings takes their types to promise."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    kinds = get_args(hint) or (hint,)
    if any(get_origin(kind) is Literal and value in get_args(kind) for kind in kinds):
        return True
    return type(value) in kinds or (isinstance(value, Path) and Path in kinds)


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(HINTS)), value=VALUES | st.lists(VALUES, max_size=3)
       | st.floats() | st.dictionaries(st.text(), VALUES, max_size=2))  # fmt: skip
def test_a_value_of_any_type_becomes_the_type_of_its_setting_or_is_refused_by_name(
    path, name, value
):
    path.write_text(yaml.safe_dump({"data_dir": "d", "output_dir": "o", name: value}))
    found = result_or_refusal(lambda: resolve(TrainSettings, {"config": path}), Path(name))
    if found is not None:
        assert all(is_of(hint, getattr(found, setting)) for setting, hint in HINTS.items())
        path.write_text(yaml.safe_dump(found.to_plain()))
        again = resolve(TrainSettings, {"config": path})
        assert again.to_plain() == found.to_plain()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seq_length: long", "seq_length must be a whole number; got 'long'"),
        ("seq_length: 64.0", r"seq_length must be a whole number; got 64\.0"),
        ("num_epochs: true", "num_epochs must be a whole number; got True"),
        ("use_wandb: 'no'", "use_wandb must be true or false; got 'no'"),
        ("mask_prob: [0.1]", r"mask_prob must be a finite number; got \[0\.1\]"),
        ("learning_rate: .nan", "learning_rate must be a finite number; got nan"),
        ("learning_rate:", "learning_rate must be a finite number; got None"),
        ("max_tokens_per_batch: 1e4", "must be a whole number or nothing .null.; got '1e4'"),
        ("neighbor_key: 7", "neighbor_key must be text; got 7"),
        ("objective: {a: 1}", "objective must be one of 'next_cell', 'mlm'; got {'a': 1}"),
        ("output_dir: 3", "output_dir must be a path; got 3"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_file_and_field(path, line, message):
    given_elsewhere = {"data_dir": "d", "output_dir": "o"}
    if line.startswith("output_dir"):
        del given_elsewhere["output_dir"]
    path.write_text(line)
    with pytest.raises(TypeError, match=rf"config: .*config\.yaml: .*{message}"):
        resolve(TrainSettings, {"config": path, **given_elsewhere})


def test_a_word_that_a_setting_does_not_list_is_refused_by_file_and_field(path):
    path.write_text("objective: guess")
    with pytest.raises(ValueError, match=r"config\.yaml: objective must be one of 'next_cell', 'm"):
        resolve(TrainSettings, {"config": path, "data_dir": "d", "output_dir": "o"})


def test_what_is_given_wins_over_a_wrong_value_in_the_file_and_stands_for_itself(path):
    path.write_text("seq_length: long")
    given_here = {"config": path, "data_dir": "d", "output_dir": "o"}
    assert resolve(TrainSettings, {**given_here, "seq_length": 64}).seq_length == 64
    with pytest.raises(TypeError, match=r"^seq_length must be a whole number; got '64'"):
        resolve(TrainSettings, {**given_here, "seq_length": "64"})


def test_numbers_of_numpy_become_pythons():
    found = typed(TrainSettings, {"seed": np.int64(3), "mask_prob": np.float32(0.5)}, {})
    assert [(type(value), value) for value in found.values()] == [(int, 3), (float, 0.5)]


def test_a_value_that_stands_for_more_than_memory_holds_is_refused_at_once(path):
    lines = [
        "a: &a0 [x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)),
    ]
    path.write_text("\n".join([*lines, "seq_length: *a39"]))
    values = yaml.safe_load(path.read_text())
    with pytest.raises(TypeError, match="seq_length must be a whole number; got"):
        typed(TrainSettings, {"seq_length": values["seq_length"]}, {})
