"""What a name that is not known may have been meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(names: Iterable[str], known: Iterable[str]) -> str:
    """The end of a refusal: `; did you mean learning_rate?`, or nothing where nothing is close."""
    known = list(known)
    close = dict.fromkeys(match for name in names for match in get_close_matches(name, known, n=1))
    return f"; did you mean {' and '.join(close)}?" if close else ""
