"""Values of settings: what YAML and Python callers give, in the types that the fields name.

Text becomes paths, integers become floats, lists become tuples and NumPy's numbers Python's where
the field says so; whatever else does not fit is refused by its name.
"""

import math
import reprlib
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 60
"""A few lines of YAML can stand for more values than there is memory to print."""
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a path",
    NoneType: "nothing (null)",
}


def typed(
    settings_type: Any, values: Mapping[str, Any], where: Mapping[str, str]
) -> dict[str, Any]:
    """The values in the types of the fields.

    Args:
        settings_type: The dataclass with the fields.
        values: By name of field.
        where: What to put before the message about a value, by name of field.

    Raises:
        TypeError: One does not fit; the message names the field, what is expected and what came.
        ValueError: A word is none of those that a field lists.
    """
    hints = get_type_hints(settings_type)
    found = {}
    for name, value in values.items():
        kinds = _kinds(hints.get(name, Any))
        found[name] = _converted(kinds, value)
        if not any(_fits(kind, found[name]) for kind in kinds):
            expected = " or ".join(dict.fromkeys(map(_described, kinds)))
            is_of_kind = isinstance(value, str) and any(get_origin(k) is Literal for k in kinds)
            raise (ValueError if is_of_kind else TypeError)(
                f"{where.get(name, '')}{name} must be {expected}; got {_SHORT.repr(value)}"
            )
    return found


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _converted(kinds: tuple[Any, ...], value: Any) -> Any:
    lists = [kind for kind in kinds if get_origin(kind) is tuple]
    found: Any
    match value:
        case bool() | None:
            found = value
        case str() if Path in kinds and str not in kinds:
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
