"""Read `config.json` and the tensors of a checkpoint's folder; no code from a file ever runs."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bionemo.geneformer_t.dictionaries import read_json

CONFIG_JSON = "config.json"
SAFETENSORS = "model.safetensors"
PYTORCH_BIN = "pytorch_model.bin"


def read_config_json(folder: Path) -> dict[str, Any]:
    """The settings of a checkpoint in Hugging Face's layout.

    Raises:
        FileNotFoundError: The folder holds no `config.json`.
        ValueError: It is no JSON object.
    """
    path = folder / CONFIG_JSON
    if not path.is_file():
        raise FileNotFoundError(
            f"pretrained: expected {CONFIG_JSON} beside {SAFETENSORS} in {folder}, as Hugging Face "
            f"checkpoints have; the folder holds {_held(folder)}"
        )
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object; it holds a {type(values).__name__}")
    return values


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The weights in `model.safetensors`, or in `pytorch_model.bin` where that is all there is.

    Raises:
        FileNotFoundError: The folder holds neither.
        ValueError: The file is truncated, holds anything but tensors, or tries to run code.
    """
    if (folder / SAFETENSORS).is_file():
        tensors = _read_safetensors(folder / SAFETENSORS)
    elif (folder / PYTORCH_BIN).is_file():
        tensors = _read_bin(folder / PYTORCH_BIN)
    else:
        raise FileNotFoundError(
            f"pretrained: expected {SAFETENSORS} or {PYTORCH_BIN} in {folder}; the folder holds "
            f"{_held(folder)}. Weights in several files must be joined first, for example with "
            "transformers' save_pretrained(max_shard_size='100GB')"
        )
    return {name: tensor.float() for name, tensor in tensors.items()}


def load_plain(path: Path) -> Any:
    """What `torch.load` finds in a file, tensors and plain values alone.

    Raises:
        ValueError: The file is damaged, or asks for anything else, as one that runs code does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols that the reader may not know
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was refused: it holds something other than tensors and plain values "
            f"({_what_is_refused(error)}), and nothing in it was run. Save the weights as "
            "safetensors on a machine where you trust them"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or truncated ({_first_line(error)}); fetch it again"
        ) from error


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: Mapping[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or truncated ({_first_line(error)}); fetch it again"
        ) from error
    return tensors


def _read_bin(path: Path) -> Mapping[str, Tensor]:
    values = load_plain(path)
    if not isinstance(values, dict) or not all(isinstance(v, Tensor) for v in values.values()):
        raise ValueError(f"{path} must hold a dictionary of tensors, as `state_dict()` gives one")
    return values


def _what_is_refused(error: pickle.UnpicklingError) -> str:
    found = re.search(r"[Uu]nsupported .*?(?=\.? Please|\n|$)", str(error))
    return found[0].rstrip(". ") if found else _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _held(folder: Path) -> str:
    return ", ".join(sorted(child.name for child in folder.iterdir())) or "nothing"
