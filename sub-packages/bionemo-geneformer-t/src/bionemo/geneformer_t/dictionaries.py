"""Read gene dictionaries from JSON or pickle without ever running code from the file.

Geneformer publishes its token, median and name dictionaries as pickles, some with NumPy scalars.
The unpickler here can build dictionaries, lists, strings and numbers, and nothing else: the two
NumPy names that those files mention lead to the small functions below.
"""

import io
import json
import pickle
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


def read_dictionary(path: Path) -> dict[str, Any]:
    """The dictionary in a `.json`, `.pkl` or `.pickle` file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is truncated, is not a dictionary with string keys, or is a pickle
            that asks for anything but plain values.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a dictionary in {path}; there is no such file")
    is_pickle = path.suffix in {".pkl", ".pickle"}
    values = _read_pickle(path) if is_pickle else read_json(path)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(
            f"{path} must hold a dictionary with string keys; it holds {_describe(values)}"
        )
    return values


def read_json(path: Path) -> Any:
    """Any JSON value.

    Raises:
        ValueError: The file is not complete JSON in UTF-8, or an object of it holds a name twice;
            names the file and the place.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_doubles)
    except _NameTwiceError as error:
        raise ValueError(
            f"{path} holds the name {error.args[0]!r} twice in one object, and only one of them "
            "would count; join or remove them"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise ValueError(
            f"{path} is not valid JSON ({error}); is it truncated? Write it again"
        ) from error


class _NameTwiceError(Exception):
    """An object of JSON with one name twice, the last of which would win silently."""


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _NameTwiceError(next(name for name, times in names.items() if times > 1))
    return values


def _describe(values: Any) -> str:
    if isinstance(values, dict):
        odd = next(key for key in values if not isinstance(key, str))
        return f"a dictionary with the key {odd!r} of type {type(odd).__name__}"
    return f"a value of type {type(values).__name__}"


def _read_pickle(path: Path) -> Any:
    with io.BytesIO(path.read_bytes()) as file:  # gives no more than there is, whatever is asked
        try:
            return _PlainUnpickler(file).load()
        except (EOFError, IndexError, KeyError, TypeError, AttributeError, MemoryError,
                OverflowError, ValueError, NotImplementedError, RecursionError, AssertionError,
                struct.error) as error:  # fmt: skip
            raise ValueError(f"{path} is not a complete pickle ({error!r})") from error
        except pickle.UnpicklingError as error:
            raise ValueError(f"{path} was refused: {error}") from error


class _PlainUnpickler(pickle._Unpickler):
    """Builds dictionaries, lists, strings and numbers only.

    The unpickler written in Python: the one in C takes memory for as many memoised values as a
    damaged file claims to hold, up to 32 GiB. Byte arrays, which no dictionary needs, would do so
    here.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items()
        if code != pickle.BYTEARRAY8[0]
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if module in {"numpy.core.multiarray", "numpy._core.multiarray"} and name == "scalar":
            return _number
        if (module, name) == ("numpy", "dtype"):
            return _NumberType
        if (module, name) == ("_codecs", "encode"):  # how protocols 0 to 2 write bytes
            return _latin_1
        raise pickle.UnpicklingError(
            f"it asks to import {module}.{name}, and a gene dictionary needs only strings and "
            "numbers; convert it to JSON on a machine where you trust it"
        )


class _NumberType:
    """Stands in for `numpy.dtype`, for integers and floats alone."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or code.lstrip("<>=|") not in {
            *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)),
            *(f"f{size}" for size in (2, 4, 8)),
        }:
            raise pickle.UnpicklingError(f"it holds a NumPy type {code!r}, which is not a number")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        byte_order = state[1]
        if byte_order not in {"<", ">", "=", "|"}:
            raise pickle.UnpicklingError(f"it holds a NumPy byte order {byte_order!r}")
        self.dtype = self.dtype.newbyteorder(byte_order)


def _latin_1(text: str, encoding: str) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}, which no number needs")
    return text.encode("latin-1")


def _number(kind: _NumberType, raw: bytes | str) -> int | float:
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(kind, _NumberType) or len(data) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("it holds a NumPy scalar of the wrong size")
    value: int | float = np.frombuffer(data, kind.dtype)[0].item()
    return value
