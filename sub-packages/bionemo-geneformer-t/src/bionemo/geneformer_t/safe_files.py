"""Read `config.json` and the tensors of a checkpoint's folder; no code from a file ever runs."""

import errno
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bionemo.geneformer_t.dictionaries import read_json

CONFIG_JSON = "config.json"
SAFETENSORS = "model.safetensors"
PYTORCH_BIN = "pytorch_model.bin"
_DAMAGE = (
    zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError,
    ValueError, TypeError, AttributeError, IndexError,
)  # fmt: skip
"""What zipfile and torch raise on files that are truncated, overwritten or not checkpoints."""
_NUMPY_SCALARS = {("GLOBAL", f"numpy.{package}.multiarray scalar") for package in ("core", "_core")}


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


class DamagedCheckpointError(ValueError):
    """A file is not a complete checkpoint, or asks for more than plain values and tensors."""


def load_plain(path: Path, *, device: Any = "cpu", mmap: bool = False, verify: bool = False) -> Any:
    """What `torch.load` finds in a file, tensors and plain values alone; no code in it is run.

    Args:
        path: The file.
        device: Where tensors go.
        mmap: Leave tensors on the disk until they are used, where the file allows it.
        verify: Check every byte against the checksums in the file.

    Raises:
        FileNotFoundError: No such file.
        DamagedCheckpointError: It is damaged, or asks for anything else, as one that runs code
            does.
    """
    try:
        if verify:
            _check_sums(path)
        with warnings.catch_warnings():
            # no warning about the pickle protocol of a file that is not a checkpoint
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            mmap = mmap and zipfile.is_zipfile(path)
            return torch.load(path, map_location=device, weights_only=True, mmap=mmap)
    except _DAMAGE as error:
        is_seek = isinstance(error, OSError) and error.errno == errno.EINVAL  # beyond the end
        if isinstance(error, torch.OutOfMemoryError | OSError) and not is_seek:
            raise
        raise DamagedCheckpointError(_what_is_wrong(path, error)) from error


def _check_sums(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"checksum of {broken}")


def _what_is_wrong(path: Path, error: BaseException) -> str:
    if not isinstance(error, pickle.UnpicklingError):
        return (
            f"{path} is truncated or damaged ({_first_line(error)}); copy, download or write it "
            "again"
        )
    if numpy_fields(path):
        return numpy_advice(path)
    asked = re.search(r"(?:GLOBAL|global:?) ([\w.]+)", str(error))
    if asked is None:
        return (
            f"{path} is no checkpoint, or a damaged one ({_what_is_refused(error)}). {path.name} "
            "was refused: only tensors and plain values are read, and nothing in it was run. Give "
            "a checkpoint that `geneformer-t train` wrote"
        )
    return (
        f"{path} was refused: it asks to import {asked[1]} ({_what_is_refused(error)}), and a "
        "checkpoint needs only tensors and plain values; nothing in it was run. Save the weights "
        "as safetensors on a machine where you trust them"
    )


def numpy_advice(path: Path) -> str:
    """What to do with a checkpoint that holds numbers of NumPy; empty where it holds none."""
    names = numpy_fields(path)
    if not names:
        return ""
    return (
        f"{path} was refused: it holds numbers of NumPy under {', '.join(names)}, and a checkpoint "
        "is read as tensors and plain values alone; nothing in it was run. Where you trust the "
        "file, read it with torch.load(..., weights_only=False), put value.item() in the place of "
        "each such number, and write it with torch.save"
    )


def numpy_fields(path: Path) -> tuple[str, ...]:
    """Names of the entries of a file of torch that hold numbers of NumPy.

    The instructions of its pickle are listed, and none is carried out.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (entry,) = (e for e in archive.infolist() if e.filename.endswith("/data.pkl"))
            if entry.file_size > path.stat().st_size:
                return ()
            return tuple(dict.fromkeys(_before_numpy(archive.read(entry))))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return ()  # no such file, or damaged: whoever reads it says so


def _before_numpy(content: bytes) -> Iterator[str]:
    """The last text before each number of NumPy: the name that it is held under."""
    name, latest = "", ("", "")
    memo: dict[Any, tuple[str, str]] = {}
    for code, argument, _ in pickletools.genops(content):
        if code.name in {"BINPUT", "LONG_BINPUT", "PUT"}:
            memo[argument] = latest
            continue
        kind = "text" if "UNICODE" in code.name else code.name
        latest = memo.get(argument, ("", "")) if "GET" in kind else (kind, str(argument))
        if latest[0] == "text":
            name = latest[1]
        elif latest in _NUMPY_SCALARS:
            yield name


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: Mapping[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is truncated or damaged ({_first_line(error)}); download it again"
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
