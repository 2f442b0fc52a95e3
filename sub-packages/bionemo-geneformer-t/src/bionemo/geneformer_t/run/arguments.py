"""The command line of a settings dataclass: one option for each field."""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

CONFIG = "config"
"""The field with a YAML file of settings."""


def make_parser(
    settings_type: type, arguments: Sequence[str], prog: str, description: str | None
) -> argparse.ArgumentParser:
    """One option for each field, in both spellings, with the field's docstring as help.

    Options that are not given are not in the parsed namespace, so that a YAML file may set them.
    """
    parser = _Parser(
        arguments=arguments,
        prog=prog or None,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hints, docs = get_type_hints(settings_type), field_docs(settings_type)
    for field in sorted(fields(settings_type), key=is_required, reverse=True):
        options = _options(hints[field.name])
        text = docs.get(field.name, "").replace("%", "%%") + shown_default(field)
        if field.metadata.get("positional"):
            options["metavar"] = field.name.upper()
            if not is_required(field):
                options |= {"nargs": "?", "default": field.default}
            parser.add_argument(field.name, help=text, **options)
            continue
        names = dict.fromkeys([f"--{field.name}", f"--{field.name.replace('_', '-')}"])
        parser.add_argument(
            *names, dest=field.name, help=text, default=argparse.SUPPRESS,
            required=is_required(field) and CONFIG not in hints, **options,
        )  # fmt: skip
    return parser


def did_you_mean(names: Iterable[str], known: Iterable[str]) -> str:
    """The end of an error message: `; did you mean learning_rate?`, or nothing if none is close."""
    known = list(known)
    close = dict.fromkeys(match for name in names for match in get_close_matches(name, known, n=1))
    return f"; did you mean {' and '.join(close)}?" if close else ""


def field_docs(settings_type: type) -> dict[str, str]:
    """The docstring under each field of a dataclass and of its bases."""
    docs: dict[str, str] = {}
    for owner in reversed(settings_type.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            match statement, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[name] = " ".join(text.split())
    return docs


class _Parser(argparse.ArgumentParser):
    """Suggests another option for a misspelt one."""

    def __init__(self, *, arguments: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.arguments = arguments

    def error(self, message: str) -> NoReturn:
        known = self._option_string_actions
        given = [text.partition("=")[0] for text in self.arguments if text.startswith("--")]
        unknown = [name for name in given if not any(option.startswith(name) for option in known)]
        super().error(message + did_you_mean(unknown, known))


def _options(hint: Any) -> dict[str, Any]:
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        return {"choices": choices}
    if get_origin(hint) is tuple:
        return {"nargs": "+", "type": choices[0], "metavar": choices[0].__name__.upper()}
    if get_origin(hint) in {Union, UnionType}:
        kinds = [kind for kind in choices if kind is not NoneType]
        if len(kinds) == 1:
            return _options(kinds[0])
        return {"type": _first_that_fits(kinds), "metavar": "|".join(k.__name__ for k in kinds)}
    if hint is bool:
        return {"nargs": "?", "const": True, "type": _boolean, "metavar": "true|false"}
    return {"type": hint, "metavar": hint.__name__.upper()}


def _first_that_fits(kinds: Sequence[type]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        for kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
        raise argparse.ArgumentTypeError(f"{text!r} is none of {kinds}")

    return read


def _boolean(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return values[text.lower()]


def shown_default(field: Field[Any]) -> str:
    """The end of a help text: ` (default: 3)`, or nothing if there is no default to show."""
    if is_required(field) or field.default in {None, ()}:
        return ""
    shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f" (default: {shown})"


def is_required(field: Field[Any]) -> bool:
    """Whether a field has no default."""
    return field.default is MISSING and field.default_factory is MISSING
