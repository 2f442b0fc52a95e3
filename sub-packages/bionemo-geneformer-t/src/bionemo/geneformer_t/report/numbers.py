"""Numbers as a report shows them."""

import math

from bionemo.geneformer_t.evaluate.intervals import Interval

_MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 3) -> str:
    """A figure; `-` where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}".replace("-", _MINUS)


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent, without the sign."""
    return number(100 * share, digits)


def span(interval: Interval, digits: int = 3) -> str:
    """The ends of an interval."""
    if math.isnan(interval.low):
        return "-"
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def gain(value: float, digits: int = 3) -> str:
    """A difference with its sign."""
    return number(value, digits) if math.isnan(value) or value < 0 else f"+{value:.{digits}f}"
