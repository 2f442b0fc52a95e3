"""Values of settings: conversion to the types of their fields, and checks of their ranges.

Text is converted to paths, integers to floats, lists to tuples, and numbers and texts of NumPy and
PyTorch to Python's. Other values of a wrong type are refused by name. A checkpoint may only contain
plain values, so a single NumPy number in its settings would make it unreadable.
"""

import math
import os
import reprlib
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 60
"""A few lines of YAML can expand to more values than memory has room for."""
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a path",
    NoneType: "nothing (null)",
}

POSITIONAL = {"positional": True}
"""Metadata of a field that is a positional argument on the command line."""


class Settings:
    """Base of every settings dataclass: fields have plain values of their types.

    Raises:
        TypeError: A value is of another type; names the field.
        ValueError: A text is not one of the choices of its field.
    """

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type] # of a dataclass
        for name, value in typed(type(self), given).items():
            object.__setattr__(self, name, value)  # the dataclasses are frozen


def require_at_least(settings: object, least: int, *names: str) -> None:
    """Refuse numbers below a limit; a setting that is None is not checked.

    Raises:
        ValueError: Names the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < least:
            what = f"be at least {least}" if least else "not be negative"
            raise ValueError(f"{name} must {what}; got {value}")


def require_key(name: str, key: str) -> None:
    """Refuse what can be no name of an entry of an .h5ad.

    Raises:
        ValueError: Names the setting and its value.
    """
    if not key or "/" in key:
        raise ValueError(
            f"{name} must be a name without a slash, under which an .h5ad can hold it; got {key!r}"
        )


def require_positive(settings: object, *names: str) -> None:
    """Refuse numbers that are not positive; a setting that is None is not checked.

    Raises:
        ValueError: Names the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be positive; got {value}")


def require_fraction(settings: object, *names: str, zero: bool = True, one: bool = True) -> None:
    """Refuse numbers that are not fractions; a setting that is None is not checked.

    Args:
        settings: Has the settings as attributes.
        names: The settings.
        zero: Whether 0 is allowed.
        one: Whether 1 is allowed.

    Raises:
        ValueError: Names the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if value is None or 0 < value < 1 or (zero and value == 0) or (one and value == 1):
            continue
        interval = f"{'[' if zero else '('}0, 1{']' if one else ')'}"
        raise ValueError(f"{name} must be in {interval}; got {value}")


def typed(
    named: Any, values: Mapping[str, Any], where: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values, converted to the types of a dataclass's fields or of a function's arguments.

    Args:
        named: The dataclass, or the function.
        values: By name.
        where: Beginning of the message about a value, by name.

    Raises:
        TypeError: One has the wrong type; the message names the field and the expected type.
        ValueError: A word is none of those that a field lists.
    """
    hints, where = get_type_hints(named), where or {}
    found = {}
    for name, value in values.items():
        kinds = _kinds(hints.get(name, Any))
        found[name] = _converted(kinds, value)
        if not any(_fits(kind, found[name]) for kind in kinds):
            expected = " or ".join(dict.fromkeys(map(_described, kinds)))
            is_word = isinstance(value, str) and any(get_origin(k) is Literal for k in kinds)
            raise (ValueError if is_word else TypeError)(
                f"{where.get(name, '')}{name} must be {expected}; got {_SHORT.repr(value)}"
            )
    return found


def plain_value(value: Any) -> Any:
    """A number, text or list of NumPy, PyTorch or pandas as Python's own; others as they are."""
    if isinstance(value, str):
        return str.__str__(value)  # of `numpy.str_` and of enumerations, the text itself
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if isinstance(value, int) else float(value)
    dimensions = getattr(value, "ndim", None)
    if dimensions == 0 and hasattr(value, "item"):
        return value.item()
    return value.tolist() if dimensions == 1 and hasattr(value, "tolist") else value


def plain_entry(value: Any, where: str, kept: type | tuple[type, ...] = ()) -> Any:
    """What a checkpoint can hold of a value: plain values in lists and dictionaries.

    Args:
        value: What is to be written.
        where: Its name in the checkpoint.
        kept: Types of values that stay as they are, such as tensors.

    Raises:
        TypeError: A value is none of these; names its place.
    """
    if isinstance(value, kept):
        return value
    if isinstance(value, Mapping):
        return {
            plain_value(name): plain_entry(held, f"{where}.{name}", kept)
            for name, held in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(plain_entry(held, f"{where}[{i}]", kept) for i, held in enumerate(value))
    found = plain_value(value)
    if isinstance(found, list):
        return plain_entry(found, where, kept)
    if found is None or isinstance(found, bool | int | float | str):
        return found
    raise TypeError(
        f"{where} is {_SHORT.repr(value)} of type {type(value).__name__}, and a checkpoint holds "
        "tensors, texts, numbers and lists and dictionaries of them; nothing else could be read "
        "again. Give a plain value"
    )


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _converted(kinds: tuple[Any, ...], value: Any) -> Any:
    lists = [kind for kind in kinds if get_origin(kind) is tuple]
    value = plain_value(value)
    found: Any
    match value:
        case bool() | None:
            found = value
        case os.PathLike() if str in kinds and Path not in kinds:
            found = os.fspath(value)
        case str() | os.PathLike() if Path in kinds and str not in kinds:
            found = Path(value)
        case str() if float in kinds and int not in kinds:
            found = _number(value)
        case Integral() if int in kinds:
            found = int(value)
        case Real() if float in kinds:
            found = _number(value)
        case _ if lists:
            one = _kinds(get_args(lists[0])[0])
            many = value if isinstance(value, list | tuple) else (value,)  # one stands for a list
            found = tuple(_converted(one, each) for each in many)
        case _:
            found = value
    return found


def _number(value: Any) -> Any:
    try:
        return float(value)  # YAML reads 1e-4 as text
    except (ValueError, OverflowError):
        return value


def _fits(kind: Any, value: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is tuple:
        one = _kinds(get_args(kind)[0])
        return isinstance(value, tuple) and all(any(_fits(k, v) for k in one) for v in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return "a list, each " + " or ".join(map(_described, _kinds(get_args(kind)[0])))
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))
