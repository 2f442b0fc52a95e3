"""The first of many names, for messages."""

from collections.abc import Iterable
from itertools import islice

MOST = 5
"""Names that a message shows, where nothing else is said."""


def some_names(names: Iterable[object], most: int = MOST, separator: str = ", ") -> str:
    """The first names, with `...` at the end where there are more.

    Args:
        names: Anything with a text, in the order in which they are shown.
        most: How many are shown.
        separator: What is between two of them.
    """
    first = list(islice(map(str, names), most + 1))
    return separator.join([*first[:most], *(["..."] if len(first) > most else [])])
