"""Progress of long work: a bar on a terminal, nothing elsewhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def bar(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    """The items, with a bar on a terminal while they pass."""
    from tqdm import tqdm

    yield from tqdm(items, desc=what, total=total, disable=None, leave=False)
