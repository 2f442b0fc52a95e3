"""The units and origins of time that words of a label name.

`12.5 dpc`, `E12.5` and `embryonic day 12.5` are days since conception, `P2` days since birth, `3
dpi` days since an infection or injury, `10 days` days since a start that is not named. Gestational
age (`GW18`, `18 weeks GA`) is counted from the mother's last period, by convention two weeks before
conception, so that GW18 is PCW16. Days of gestation are something else: of animals they are counted
from mating, so that gestational day 12.5 of a mouse is E12.5, and of humans from the last period.
"""

import re
from dataclasses import dataclass

_DAYS = {
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 1440),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1 / 24),
    **dict.fromkeys(("d", "day", "days"), 1.0),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7.0),
    **dict.fromkeys(("mo", "month", "months"), 365.25 / 12),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365.25),
}
"""Units of time, in days."""

UNNAMED = "a start that they do not name"
_CONCEPTION, _GESTATION, _BIRTH = "conception", "the last period", "birth"
_DAYS_OF_GESTATION = "the last period or mating"
_AGE = frozenset({"ga", "gestational age", "of gestational age"})
"""A human's in any unit."""
_INFECTION, _AMPUTATION, _TREATMENT = "infection or injury", "amputation", "treatment"

_BEFORE_CONCEPTION = 14.0
"""Days from the last period to conception."""

_ABBREVIATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    _CONCEPTION: {
        "h": ("hpf", "hpc"), "d": ("e", "dpf", "dpc"), "w": ("wpf", "wpc", "pcw"), "mo": ("mpf",),
    },
    _GESTATION: {"w": ("gw", "ga", "wga")},
    _BIRTH: {"d": ("p", "pnd", "pd", "dpp", "dpn", "dpb"), "w": ("pnw",)},
    _INFECTION: {"h": ("hpi",), "d": ("dpi",), "w": ("wpi",), "mo": ("mpi",)},
    _AMPUTATION: {"h": ("hpa",), "d": ("dpa",)},
    _TREATMENT: {"h": ("hpt",), "d": ("dpt",)},
}  # fmt: skip
"""Words that say both; of gestation, weeks by convention."""

_PHRASES = {
    _CONCEPTION: (
        "embryonic", "post conception", "postconception", "post conceptional", "postconceptional",
        "after conception", "post coitum", "postcoitum", "post coital", "postcoital",
        "post fertilization", "post fertilisation", "postfertilization", "postfertilisation",
        "after fertilization", "after fertilisation",
    ),
    _GESTATION: (
        "ga", "gestation", "gestational", "of gestation", "gestational age", "of gestational age",
    ),
    _BIRTH: (
        "postnatal", "post natal", "post partum", "postpartum", "after birth", "post birth",
    ),
    _INFECTION: (
        "post infection", "postinfection", "after infection",
        "post injury", "postinjury", "after injury",
    ),
    _AMPUTATION: ("post amputation", "after amputation"),
    _TREATMENT: ("post treatment", "after treatment"),
}  # fmt: skip
"""Words that name the origin and need a unit."""

_KNOWN = {
    word: (origin, _DAYS[unit])
    for origin, by_unit in _ABBREVIATIONS.items()
    for unit, words in by_unit.items()
    for word in words
}
_ORIGIN_OF = {phrase: origin for origin, phrases in _PHRASES.items() for phrase in phrases}


@dataclass(frozen=True)
class TimeUnit:
    """A scale of time."""

    days: float
    """Length of the unit."""
    origin: str
    """The event that it is counted from."""
    offset: float = 0.0
    """Days from the origin to the time 0."""

    def days_since_origin(self, number: float) -> float:
        """A time of this scale on the scale of its origin."""
        return number * self.days + self.offset


_NAMES = {_DAYS[name]: name for name in ("minutes", "hours", "days", "weeks", "months", "years")}
"""Length in days -> what so long a unit is called."""


def unit_name(unit: TimeUnit) -> str:
    """What differences of times of this unit are counted in, such as `days`."""
    return _NAMES[unit.days]


def time_unit(words: str) -> TimeUnit | None:
    """The unit and origin that the words of a label name, in lower case; None where they do not."""
    if words in _KNOWN:
        return _unit(*_KNOWN[words])
    split = re.findall(r"[a-z]+", words)
    units = [word for word in split if word in _DAYS]
    origin = " ".join(word for word in split if word not in _DAYS)
    if len(units) != 1 or (origin and origin not in _ORIGIN_OF):
        return None
    days = _DAYS[units[0]]
    if _ORIGIN_OF.get(origin) == _GESTATION and days < _DAYS["week"] and origin not in _AGE:
        return TimeUnit(days, _DAYS_OF_GESTATION)
    return _unit(_ORIGIN_OF[origin] if origin else UNNAMED, days)


def _unit(origin: str, days: float) -> TimeUnit:
    if origin == _GESTATION:
        return TimeUnit(days, _CONCEPTION, -_BEFORE_CONCEPTION)
    return TimeUnit(days, origin)
