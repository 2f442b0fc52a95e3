"""Commands: a settings dataclass defines a Python function and a command line.

`@command(Settings)` turns `def train(settings: Settings)` into a function that takes the fields of
`Settings` as keyword arguments; `main` reads the same fields from the command line. Fields, their
defaults and their docstrings are written once. Nothing heavy is imported here.
"""

import inspect
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bionemo.geneformer_t.progress import showing_progress
from bionemo.geneformer_t.run.arguments import CONFIG, did_you_mean, make_parser
from bionemo.geneformer_t.setting_values import typed

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")

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
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(settings_type, arguments, prog, inspect.getdoc(function))
    with ending_unread():
        given = vars(parser.parse_args(arguments))
        try:
            with showing_progress():
                return function(**given)
        except USER_ERRORS as error:
            if not is_ours(error):
                raise
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            parser.exit(2, f"\n{parser.prog}: {text}\n")


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
