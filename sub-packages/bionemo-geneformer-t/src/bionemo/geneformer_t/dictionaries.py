"""Read gene dictionaries from JSON or pickle without ever running code from the file.

Geneformer publishes its token, median and name dictionaries as pickles, some with NumPy scalars.
The unpickler here can build dictionaries, lists, strings and numbers, and nothing else: the two
NumPy names that those files mention lead to the small functions below.
"""

import io
import json
import pickle
import reprlib
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
        return f"a dictionary with the key {reprlib.repr(odd)} of type {type(odd).__name__}"
    return f"a value of type {type(values).__name__}"


def _read_pickle(path: Path) -> Any:
    with io.BytesIO(
        path.read_bytes()
    ) as file:  # reads no more than there is, whatever length is claimed
        try:
            return _PlainUnpickler(file).load()
        except (EOFError, IndexError, KeyError, TypeError, AttributeError, MemoryError,
                OverflowError, ValueError, NotImplementedError, RecursionError, AssertionError,
                struct.error) as error:  # fmt: skip
            raise ValueError(f"{path} is not a complete pickle ({error!r})") from error
        except pickle.UnpicklingError as error:
            raise ValueError(f"{path} was refused: {error}") from error


MOST_STEPS = 20_000_000
"""Instructions that a pickle may have: a dictionary of 30,000 genes has some 200,000."""
_LONGEST_NUMBER = 64
"""Characters in which any number that a dictionary holds can be written."""
_ATOMS = (str, int, float, bytes, bool, type(None))
_INSTRUCTIONS = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT",
    "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE",
    "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "EMPTY_SET", "ADDITEMS", "FROZENSET", "GET", "BINGET", "LONG_BINGET", "PUT",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
)  # fmt: skip
"""What pickles of plain values and of NumPy's numbers consist of."""


class _Steps(dict[int, Callable[[Any], None]]):
    """The instructions by their code; a pickle gets so many, then it is refused."""

    left: int

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError(
                f"it has more than {MOST_STEPS:,} instructions, which no gene dictionary needs"
            )
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise pickle.UnpicklingError(
            f"it holds the instruction {bytes([code])!r}, and a dictionary of strings and numbers "
            "needs none of that kind; is it a damaged file, or no pickle?"
        )


class _PlainUnpickler(pickle._Unpickler):
    """Builds dictionaries, lists, strings and numbers only, in time that the file's length bounds.

    The unpickler written in Python: the one in C takes memory for as many memoised values as a
    damaged file claims to hold, up to 32 GiB. Byte arrays, which no dictionary needs, would do so
    here. Keys are plain values, for the hash of a tuple that holds itself many times over takes
    time without end, in C, where Ctrl-C does not reach.
    """

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    _of_pickle: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: pickle._Unpickler.dispatch[code]
        for code in (getattr(pickle, name)[0] for name in _INSTRUCTIONS)
    }

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        steps = _Steps(self._known)
        steps.left = MOST_STEPS
        self.__dict__["dispatch"] = steps  # which the unpickler takes its instructions from

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

    def _load_dict(self) -> None:
        values = self.pop_mark()
        _check_keys(values[::2])
        self.append({values[i]: values[i + 1] for i in range(0, len(values), 2)})

    def _load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        self._of_pickle[pickle.SETITEM[0]](self)

    def _load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        self._of_pickle[pickle.SETITEMS[0]](self)

    def _load_additems(self) -> None:
        _check_keys(self.stack)
        self._of_pickle[pickle.ADDITEMS[0]](self)

    def _load_frozenset(self) -> None:
        _check_keys(self.stack)
        self._of_pickle[pickle.FROZENSET[0]](self)

    def _load_build(self) -> None:
        """Complete a number's type; the state of anything else, such as ours here, stays alone."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _NumberType):
            raise pickle.UnpicklingError(
                f"it sets the state of a {type(self.stack[-1]).__name__}, which no number needs"
            )
        self.stack[-1].__setstate__(state)

    _known: ClassVar[dict[int, Callable[[Any], None]]] = {
        **_of_pickle,
        pickle.DICT[0]: _load_dict, pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems, pickle.ADDITEMS[0]: _load_additems,
        pickle.FROZENSET[0]: _load_frozenset, pickle.BUILD[0]: _load_build,
    }  # fmt: skip


def _check_keys(keys: list[Any]) -> None:
    for key in keys:
        if not isinstance(key, _ATOMS):
            raise pickle.UnpicklingError(
                f"it holds a {type(key).__name__} as a key of a dictionary or an item of a set, "
                "and a gene dictionary has strings there"
            )


class _NumberType:
    """Stands in for `numpy.dtype`, for integers and floats alone."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or code.lstrip("<>=|") not in {
            *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)),
            *(f"f{size}" for size in (2, 4, 8)),
        }:
            shown = reprlib.repr(code)
            raise pickle.UnpicklingError(f"it holds a NumPy type {shown}, which is not a number")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        byte_order = state[1]
        if all(byte_order != known for known in ("<", ">", "=", "|")):
            shown = reprlib.repr(byte_order)
            raise pickle.UnpicklingError(f"it holds a NumPy byte order {shown}")
        self.dtype = self.dtype.newbyteorder(byte_order)


def _latin_1(text: str, encoding: str) -> bytes:
    if encoding != "latin1" or not isinstance(text, str) or len(text) > _LONGEST_NUMBER:
        raise pickle.UnpicklingError(
            f"it encodes text as {reprlib.repr(encoding)}, as no number of NumPy needs it"
        )
    return text.encode("latin-1")


def _number(kind: _NumberType, raw: bytes | str) -> int | float:
    if not isinstance(kind, _NumberType) or len(raw) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("it holds a NumPy scalar of the wrong size")
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    value: int | float = np.frombuffer(data, kind.dtype)[0].item()
    return value
