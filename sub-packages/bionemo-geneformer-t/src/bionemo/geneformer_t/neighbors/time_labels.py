"""Time labels as numbers: `D6`, `E7.75`, `16 weeks`, `day 10`, `-2`.

A label is one number and the words around it. Words that name a unit and an origin are understood
(`time_units`): `24h` and `2 days`, `E12.5` and `13 dpc`, or `GW18` and `PCW17` can be compared.
Times of different origins cannot, because nothing says whether `E18` comes before `P2`. Any other
words (`stage 3`) must be the same in every label.

A column of `obs` that is an ordered categorical brings an order of its labels. It is taken where
they are no times, and must not contradict them where they are.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings
from bionemo.geneformer_t.neighbors.time_units import TimeUnit, time_unit, unit_name
from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.some_names import some_names

_LABEL = re.compile(
    r"(?P<before>[a-z ._]*?)[ _]*"
    r"(?P<number>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)[ _]*"
    r"(?P<after>[a-z ._]*)"
)
_STAGES = "stages"
"""The unit of times that are places in an order."""
_MISSING = {"", "nan", "none", "na", "n/a", "<na>", "unknown"}
_REMEDY = (
    "give the labels in their order: time_order=('first', 'second', ...), "
    "or --time_order first second ..."
)


def time_values(
    labels: "Sequence[object] | pd.Series[Any]", order: Sequence[str] | None = None
) -> Float[ndarray, " cell"]:
    """The time of each cell as a number, NaN where its label is missing.

    Args:
        labels: One label for each cell: text or numbers. A column that is an ordered categorical
            gives an order of its own, which `order` overrules.
        order: The labels from early to late. Their places, from 0, are then the times.

    Raises:
        ValueError: Labels cannot be read as times or cannot be compared, they contradict the order
            of their categories, or `order` and the labels do not hold the same names.
    """
    held, of_cell = _coded(labels)
    texts = ["" if _is_missing(label) else str(label).strip() for label in held]
    distinct = sorted({texts[code] for code in np.unique(of_cell)} - {""})
    categories = ordered_categories(labels)
    if order is not None:
        times = _by_order(distinct, order)
    elif categories is not None:
        times = _by_categories([label for label in categories if label in distinct])
    else:
        times = parse_times(distinct)
    of_label = np.array([times.get(text, math.nan) for text in texts], dtype=np.float64)
    return of_label[of_cell]


def joined_time_values(
    columns: "Sequence[pd.Series[Any]]", order: Sequence[str] | None = None
) -> list[Float[ndarray, " cell"]]:
    """The times of several columns on one scale, as of the cells of several files.

    Where columns are ordered categoricals, so are all labels together, if the columns leave one
    order for them: files of some cells each may lack some of the categories.

    Args:
        columns: At least one.
        order: As for `time_values`.

    Raises:
        ValueError: As `time_values`.
    """
    labels = pd.concat([column.astype(object) for column in columns], ignore_index=True)
    orders = [found for found in map(ordered_categories, columns) if found is not None]
    texts = labels.map(lambda label: str(label).strip(), na_action="ignore")
    categories = _one_order(orders)
    if orders and categories is not None and set(texts.dropna()) <= set(categories):
        labels = pd.Series(pd.Categorical(texts, categories=categories, ordered=True))
    ends = np.cumsum([len(column) for column in columns])
    return np.split(time_values(labels, order), ends[:-1])


def times_of(obs: pd.DataFrame, settings: BuilderSettings) -> Float[ndarray, " cell"]:
    """The time of each cell, from the column of obs that `time_key` names (see `time_values`)."""
    return time_values(obs_column(obs, settings.time_key, "time_key"), settings.time_order)


def unit_of_times(
    labels: "pd.Series[Any]", key: str, order: Sequence[str] | None = None
) -> tuple[str, float | None]:
    """What differences of `time_values` are counted in, and its length in days.

    Where times are no numbers but stages in an order, it is `stages`; where neither the labels nor
    the name of their column say it, it is called as the column is. The length of both is None.

    Args:
        labels: One label for each cell.
        key: Name of their column.
        order: The labels from early to late, where it was given.
    """
    if order is not None:
        return _STAGES, None
    held, of_cell = _coded(labels)
    texts = sorted(
        {str(held[code]).strip() for code in np.unique(of_cell) if not _is_missing(held[code])}
    )
    try:
        words = {parts[0] for parts in map(_parse, texts) if parts is not None}
        parse_times(texts)
    except ValueError:  # an ordered categorical of labels that are no times
        return _STAGES, None
    if len(words) > 1:
        return unit_name(TimeUnit(1.0, "")), 1.0
    word = (words - {""}).pop() if words - {""} else key.lower().replace("_", " ")
    unit = time_unit(word)
    return (key, None) if unit is None else (unit_name(unit), unit.days)


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
    words = sorted({word for word, _ in found.values()})
    if len(words) <= 1:
        return {label: number for label, (_, number) in found.items()}
    units = {word: time_unit(word) for word in words}
    known = {word: unit for word, unit in units.items() if unit is not None}
    if len(known) == len(words) and len({unit.origin for unit in known.values()}) == 1:
        return {
            label: known[word].days_since_origin(number) for label, (word, number) in found.items()
        }
    raise ValueError(
        f"the time labels {_some(list(found))} mix the words {', '.join(map(repr, words))}, which "
        f"cannot be compared: {_origins(units)}; {_REMEDY}"
    )


def ordered_categories(labels: object) -> list[str] | None:
    """The labels of a column that is an ordered categorical, from early to late; else none."""
    dtype = getattr(labels, "dtype", None)
    if not isinstance(dtype, pd.CategoricalDtype) or not dtype.ordered:
        return None
    return list(dict.fromkeys(str(label).strip() for label in dtype.categories))


def _one_order(orders: Sequence[Sequence[str]]) -> list[str] | None:
    """The only order of all labels that none of these contradicts; none where there is no such."""
    earlier: dict[str, set[str]] = {label: set() for labels in orders for label in labels}
    for early, late in (pair for labels in orders for pair in pairwise(labels)):
        earlier[late].add(early)
    found: list[str] = []
    while earlier:
        first = [label for label, before in earlier.items() if before <= set(found)]
        if len(first) != 1:
            return None
        found += first
        del earlier[first[0]]
    return found


def _by_categories(labels: Sequence[str]) -> dict[str, float]:
    """The times that labels in the order of their categories name, or their places in it.

    Raises:
        ValueError: The times have another order.
    """
    try:
        times = parse_times(labels)
    except ValueError:  # no times, or times that cannot be compared: the order is what is known
        return {label: float(place) for place, label in enumerate(labels)}
    if any(times[late] < times[early] for early, late in pairwise(labels)):
        by_number = sorted(labels, key=times.__getitem__)
        raise ValueError(
            f"the column is an ordered categorical, {' < '.join(labels)}, and its labels as times "
            f"say {' < '.join(by_number)}; say which holds, by time_order or --time_order followed "
            "by the labels from early to late, or make the column unordered"
        )
    return times


def _origins(units: Mapping[str, TimeUnit | None]) -> str:
    """What each word counts from, in words."""
    said = [
        f"{word!r} is no unit that is known"
        if unit is None
        else f"{word!r} counts from {unit.origin}"
        for word, unit in units.items()
    ]
    return ", ".join(said)


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


def _coded(
    labels: "Sequence[object] | pd.Series[Any]",
) -> tuple[Sequence[object], Int[ndarray, " cell"]]:
    """Labels, and which of them each cell has: categories, where a million cells have ten."""
    if isinstance(labels, pd.Series) and isinstance(labels.dtype, pd.CategoricalDtype):
        return [*labels.cat.categories, None], labels.cat.codes.to_numpy()  # -1 is missing
    return list(labels), np.arange(len(labels))


def _is_missing(label: object) -> bool:
    # NaN and pandas' NA print as `nan` and `<NA>`, whatever their type
    return label is None or str(label).strip().lower() in _MISSING


def _some(labels: Sequence[str], shown: int = 8) -> str:
    if not labels:
        return "none"
    number = f" ({len(labels)} in all)" if len(labels) > shown else ""
    return some_names(map(repr, labels), shown) + number
