"""YAML of any content: settings, or a refusal that names the file."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import result_or_refusal

from bionemo.geneformer_t.run.command import read_config
from bionemo.geneformer_t.run.train_settings import TrainSettings

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
