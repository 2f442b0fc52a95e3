"""Commands: a settings dataclass defines a Python function and a command line.

`@command(Settings)` turns `def train(settings: Settings)` into a function that takes the fields of
`Settings` as keyword arguments; `main` reads the same fields from the command line. Fields, their
defaults and their docstrings are written once. Nothing heavy is imported here.
"""

import argparse
import ast
import inspect
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from functools import update_wrapper
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NoReturn,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from bionemo.geneformer_t.setting_values import typed

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")

CONFIG = "config"
USER_ERRORS = (ValueError, KeyError, TypeError, OSError, MemoryError, ModuleNotFoundError)
_DAMAGED_YAML = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What PyYAML raises besides its own errors: for 2026-13-45, `!!timestamp x` or deep nesting."""
UNREAD = 141
"""Exit status where the reader of the output is gone, as under `| head`: a shell's for SIGPIPE."""


def command(settings_type: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Let a function of one settings object be called with the settings' fields.

    If the settings have a field `config`, values are read from that YAML file first, and values
    given in the call override them.
    """

    def wrap(function: Callable[[S], R]) -> Callable[P, R]:
        def call(*args: P.args, **given: P.kwargs) -> R:
            if args:
                raise TypeError(
                    f"{getattr(function, '__name__', 'the command')} takes keyword arguments "
                    f"only, for example data_dir=...; got {len(args)} positional"
                )
            return function(resolve(settings_type, given))

        update_wrapper(call, function)
        returns = inspect.signature(function).return_annotation
        signature = inspect.signature(settings_type).replace(return_annotation=returns)
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.settings_type = settings_type  # type: ignore[attr-defined]
        return call

    return wrap


def resolve(settings_type: Callable[..., S], given: Mapping[str, Any]) -> S:
    """Build settings from the given values, which override those of the YAML file `config`.

    Settings with a method `preset` add its values, which both override.

    Raises:
        FileNotFoundError: No such YAML file.
        ValueError: It has names that are not settings.
        TypeError: A name given is no setting, a value has the wrong type, or a required one is
            missing.
    """
    path = given.get(CONFIG)
    from_file = read_config(path, settings_type)
    values = {**from_file, **given}
    if hasattr(settings_type, "preset"):
        values = {**settings_type.preset(values), **values}
    parameters = inspect.signature(settings_type).parameters
    unknown = [name for name in values if name not in parameters]
    if unknown:
        raise TypeError(
            f"unknown settings: {', '.join(unknown)}; known are: {', '.join(parameters)}"
            f"{did_you_mean(unknown, parameters)}"
        )
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in values
    ]
    if missing:
        raise TypeError(f"these settings have no default and must be given: {', '.join(missing)}")
    where = dict.fromkeys(from_file.keys() - given.keys(), f"config: {path}: ")
    return settings_type(**typed(settings_type, values, where))


def read_config(path: Path | str | None, settings_type: Callable[..., Any]) -> dict[str, Any]:
    """The settings in a YAML file; none if no file is given."""
    if path is None:
        return {}
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"config: expected a YAML file at {path}; there is none")
    try:
        root = yaml.compose(text := path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        names = [name.value for name, _ in root.value] if isinstance(root, yaml.MappingNode) else []
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"config: {path} is not valid YAML: {error}") from error
    except _DAMAGED_YAML as error:
        raise ValueError(f"config: {path} cannot be read as YAML in UTF-8: {error!r}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = type(values).__name__
        raise ValueError(f"config: {path} must map names of settings to values; got a {kind}")
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"config: {path} gives settings twice: {', '.join(twice)}; keep one each")
    known = inspect.signature(settings_type).parameters
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        raise ValueError(
            f"config: {path} holds unknown settings: {', '.join(unknown)}; "
            f"known are: {', '.join(known)}{did_you_mean(unknown, known)}"
        )
    return values


def main(function: Callable[..., Any], argv: Sequence[str] | None = None, prog: str = "") -> Any:
    """Run a command from the command line; errors of the user end it with one message."""
    settings_type: type = function.settings_type  # type: ignore[attr-defined]
    parser = _Parser(
        argv=sys.argv[1:] if argv is None else argv,
        prog=prog or None,
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, settings_type)
    with ending_unread():
        given = vars(parser.parse_args(parser.argv))
        try:
            return function(**given)
        except USER_ERRORS as error:
            if not is_ours(error):
                raise
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            parser.exit(2, f"\n{parser.prog}: {text}\n")


class _Parser(argparse.ArgumentParser):
    """Suggests another option for a misspelt one."""

    def __init__(self, *, argv: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.argv = argv

    def error(self, message: str) -> NoReturn:
        known = self._option_string_actions
        given = [text.partition("=")[0] for text in self.argv if text.startswith("--")]
        unknown = [name for name in given if not any(option.startswith(name) for option in known)]
        super().error(message + did_you_mean(unknown, known))


def is_ours(error: BaseException) -> bool:
    """Whether this package raised the error itself; other errors are shown with their traceback.

    Never for a broken pipe; see `ending_unread`.
    """
    if isinstance(error, BrokenPipeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "geneformer_t" in trace.tb_frame.f_code.co_filename


@contextmanager
def ending_unread() -> Iterator[None]:
    """End quietly where standard output has lost its reader; other broken pipes are errors.

    Raises:
        SystemExit: With `UNREAD`, before all was printed.
    """
    try:
        yield
    except BrokenPipeError:
        if _can_print("\n"):  # an empty text would not reach the pipe
            raise
        raise SystemExit(UNREAD) from None
    finally:
        _can_print("")


def _can_print(text: str) -> bool:
    """Whether this and what was printed before can be written; if not, it is thrown away."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - not a path
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return False
    return True


def did_you_mean(names: Iterable[str], known: Iterable[str]) -> str:
    """The end of an error message: `; did you mean learning_rate?`, or nothing if none is close."""
    known = list(known)
    close = dict.fromkeys(match for name in names for match in get_close_matches(name, known, n=1))
    return f"; did you mean {' and '.join(close)}?" if close else ""


def add_arguments(parser: argparse.ArgumentParser, settings_type: type) -> None:
    """One option for each field, in both spellings, with the field's docstring as help.

    Options that are not given stay out of the parsed namespace, so that a YAML file may set them.
    """
    hints, docs = get_type_hints(settings_type), field_docs(settings_type)
    for field in sorted(fields(settings_type), key=_is_required, reverse=True):
        options = _options(hints[field.name])
        text = docs.get(field.name, "").replace("%", "%%") + _default(field)
        if field.metadata.get("positional"):
            options["metavar"] = field.name.upper()
            if not _is_required(field):
                options |= {"nargs": "?", "default": field.default}
            parser.add_argument(field.name, help=text, **options)
            continue
        names = dict.fromkeys([f"--{field.name}", f"--{field.name.replace('_', '-')}"])
        parser.add_argument(
            *names, dest=field.name, help=text, default=argparse.SUPPRESS,
            required=_is_required(field) and CONFIG not in hints, **options,
        )  # fmt: skip


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


def _default(field: Field[Any]) -> str:
    if _is_required(field) or field.default in {None, ()}:
        return ""
    shown = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f" (default: {shown})"


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
