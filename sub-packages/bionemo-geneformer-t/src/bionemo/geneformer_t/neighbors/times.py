"""Time labels as numbers: `D6`, `E7.75`, `16 weeks`, `day 10`, `-2`.

A label is one number and the words around it. Words that name a unit (`D`, `weeks`, `hpf`) are
understood, so that `24h` and `2 days` can stand side by side; any other words (`E7.75`, `stage 3`)
must be the same in every label, because nothing says whether `E18` comes before `P2`.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_DAYS = {
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 1440),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hpf", "hpi"), 1 / 24),
    **dict.fromkeys(("d", "day", "days", "dpf", "dpi", "dpc"), 1.0),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks", "wpc", "pcw", "gw"), 7.0),
    **dict.fromkeys(("mo", "month", "months"), 365.25 / 12),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365.25),
}
"""Units of time, in days."""

_LABEL = re.compile(
    r"(?P<before>[a-z ._]*?)[ _]*"
    r"(?P<number>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)[ _]*"
    r"(?P<after>[a-z ._]*)"
)
_MISSING = {"", "nan", "none", "na", "n/a", "<na>", "unknown"}
_REMEDY = (
    "give the labels in their order: time_order=('first', 'second', ...), "
    "or --time_order first second ..."
)


def time_values(
    labels: Sequence[object], order: Sequence[str] | None = None
) -> Float[ndarray, " cell"]:
    """The time of each cell as a number, NaN where its label is missing.

    Args:
        labels: One label for each cell: text or numbers.
        order: The labels from early to late. Their places, from 0, are then the times.

    Raises:
        ValueError: Labels cannot be read as times or cannot be compared, or `order` and the labels
            do not hold the same names.
    """
    texts = ["" if _is_missing(label) else str(label).strip() for label in labels]
    distinct = sorted({text for text in texts if text})
    times = _by_order(distinct, order) if order is not None else parse_times(distinct)
    return np.array([times.get(text, math.nan) for text in texts], dtype=np.float64)


def parse_times(labels: Sequence[str]) -> dict[str, float]:
    """Each label's number: in the labels' common unit, or in days where units differ.

    Raises:
        ValueError: A label holds no number, several, or an ambiguous hyphen (`D-2`); or labels
            with different words cannot be compared. The message lists them.
    """
    parsed = {label: _parse(label) for label in labels}
    failed = [label for label, parts in parsed.items() if parts is None]
    if failed:
        raise ValueError(
            f"expected times such as D6, E7.75, 16 weeks or 10; cannot read {_some(failed)}; "
            + _REMEDY
        )
    found = {label: parts for label, parts in parsed.items() if parts is not None}
    words = {word for word, _ in found.values()}
    if len(words) <= 1:
        return {label: number for label, (_, number) in found.items()}
    if words <= _DAYS.keys():
        return {label: number * _DAYS[word] for label, (word, number) in found.items()}
    kinds = ", ".join(repr(word) for word in sorted(words))
    raise ValueError(
        f"the time labels {_some(list(found))} mix the words {kinds}, which cannot be compared; "
        + _REMEDY
    )


def _parse(label: str) -> tuple[str, float] | None:
    """The words and the number of a label; none where it is not one number among words."""
    match = _LABEL.fullmatch(label.lower())
    if match is None:
        return None
    before, after = (match[name].strip(" ._") for name in ("before", "after"))
    if before and match["number"][0] in "+-":
        return None  # `D-2` may be two days before day 0, or day 2
    word = " ".join(part for part in (before, after) if part)
    return word, float(match["number"])


def _by_order(labels: Sequence[str], order: Sequence[str]) -> dict[str, float]:
    names = [str(name).strip() for name in order]
    if len(set(names)) != len(names):
        raise ValueError(f"time_order names a label twice: {', '.join(names)}")
    unknown, absent = sorted(set(labels) - set(names)), sorted(set(names) - set(labels))
    if unknown or absent:
        raise ValueError(
            f"time_order must name every time label once; not named: {_some(unknown)}; "
            f"named, but no cell has it: {_some(absent)}"
        )
    return {name: float(place) for place, name in enumerate(names)}


def _is_missing(label: object) -> bool:
    # NaN and pandas' NA print as `nan` and `<NA>`, whatever their type
    return label is None or str(label).strip().lower() in _MISSING


def _some(labels: Sequence[str], shown: int = 8) -> str:
    if not labels:
        return "none"
    more = f", ... ({len(labels)} in all)" if len(labels) > shown else ""
    return ", ".join(map(repr, labels[:shown])) + more
