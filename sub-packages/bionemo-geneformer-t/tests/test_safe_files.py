"""Files of weights: read whole, or refused by name; no code in them ever runs."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from bionemo.geneformer_t.safe_files import load_plain, read_config_json, read_tensors


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def tensors():
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


def test_both_kinds_of_file_hold_the_same_tensors_and_safetensors_are_preferred(tmp_path, tensors):
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    from_bin = read_tensors(tmp_path)
    save_file(
        {name: tensor + 1 for name, tensor in tensors.items()}, tmp_path / "model.safetensors"
    )
    from_safetensors = read_tensors(tmp_path)
    for name, tensor in tensors.items():
        assert torch.equal(from_bin[name], tensor.float())
        assert torch.equal(from_safetensors[name], tensor.float() + 1)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_refused_by_name(tmp_path, tensors, share):
    torch.save(tensors, tmp_path / "whole.bin")
    save_file(tensors, tmp_path / "whole.safetensors")
    for whole, name in [("whole.bin", "pytorch_model.bin"),
                        ("whole.safetensors", "model.safetensors")]:  # fmt: skip
        content = (tmp_path / whole).read_bytes()
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(
            ValueError, match=rf"{name} (is truncated or damaged|is no checkpoint|was refused)"
        ):
            read_tensors(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_that_runs_code_is_refused_by_name_and_does_not_run(tmp_path, protocol, is_zip):
    evil = {"a": RunsCode(tmp_path / "ran")}
    path = tmp_path / "pytorch_model.bin"
    if is_zip:
        torch.save(evil, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(evil, protocol=protocol))
    with pytest.raises(ValueError, match=r"model\.bin was refused: .*nothing in it was run"):
        read_tensors(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_a_pickle_asks_for_is_said(tmp_path):
    torch.save(RunsCode(tmp_path / "ran"), tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"\([Uu]nsupported global: GLOBAL io\.open was"):
        load_plain(tmp_path / "x.ckpt")


def test_a_file_of_no_tensors_is_refused(tmp_path):
    torch.save({"a": 1}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="must hold a dictionary of tensors"):
        read_tensors(tmp_path)


def test_missing_files_are_named_with_what_is_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"expected config\.json .* holds notes\.txt"):
        read_config_json(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors or pytorch_model\.bin"):
        read_tensors(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="must hold a JSON object; it holds a list"):
        read_config_json(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        read_config_json(tmp_path)
