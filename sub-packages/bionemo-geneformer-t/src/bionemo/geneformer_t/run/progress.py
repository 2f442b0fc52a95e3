"""How far long work is: a bar on a terminal, nothing otherwise."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def bar(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    """The items, with a bar on a terminal while they pass."""
    from tqdm import tqdm

    yield from tqdm(items, desc=what, total=total, disable=not sys.stderr.isatty(), leave=False)


@contextmanager
def counter(what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """A function that is told how many more are done, and shows it on a terminal."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    with tqdm(total=total, desc=what, unit=unit, disable=hidden, leave=False) as shown:
        yield shown.update
