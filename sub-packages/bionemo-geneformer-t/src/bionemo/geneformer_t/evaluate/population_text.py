"""What the distances between populations say, in sentences that hold for every distance shown.

A population counts as nearer only where the whole interval of the paired difference says so, and a
distance is read only where it has power: where the true next cells are further from the current
cells than from other true next cells, beyond the interval.
"""

from collections.abc import Mapping

from bionemo.geneformer_t.evaluate.intervals import Interval, Verdict
from bionemo.geneformer_t.evaluate.scores.population_reference import (
    NO_CHANGE,
    RETRIEVED,
    SAME_TIMES,
    SPLIT_IN_TWO,
    TRAINING_CELLS,
    PopulationDistance,
    Populations,
)
from bionemo.geneformer_t.table import span

TITLES = {"energy": "energy", "wasserstein": "Wasserstein", "mmd": "MMD"}
"""Name of a distance -> how people call it."""
DIGITS = {"energy": 3, "wasserstein": 3, "mmd": 4}
_OTHERS = {
    RETRIEVED: RETRIEVED,
    NO_CHANGE: "the current cells as they are",
    SPLIT_IN_TWO: "other true next cells (noise ceiling)",
    SAME_TIMES: SAME_TIMES,
    TRAINING_CELLS: TRAINING_CELLS,
}
_WORDS: dict[Verdict, str] = {
    "better": "nearer than",
    "worse": "further than",
    "no better": "not told apart from",
}
_SIGN = (
    "Differences of distances from the true next cells; above 0 the model is nearer, below 0 the "
    "other population is:"
)


def population_sentence(populations: Populations) -> tuple[str, list[str]]:
    """A conclusion for all distances with power and all references, and the figures behind it."""
    if not populations.num_cells:
        return "Populations: not compared, as there are too few cells for two halves.", []
    power = populations.power.intervals
    details = [_SIGN] + [
        f"{name[0].upper()}{name[1:]} minus the model: {_figures(gain.intervals)}."
        for name, gain in populations.gains.items()
    ]
    if any(gain.verdict == "too few" for gain in power.values()):
        return "Populations: too few cells or donors for a verdict.", details
    known = [name for name, gain in power.items() if gain.verdict == "better"]
    shown = f"no change minus the noise ceiling: {_figures(power)}"
    if not known:
        return (
            "Populations: no power. The true next cells are no further from the current cells as "
            "they are than from each other, so a distance tells how far drawn cells look like real "
            f"ones, but not whether they are the next ones ({shown}).",
            details,
        )
    powerless = [TITLES[name] for name in power if name not in known]
    if powerless:
        details.insert(1, f"No power, and not read: {_list(powerless)} ({shown}).")
    clauses = [_clause(name, gain, known) for name, gain in populations.gains.items()]
    return (
        "Populations: beside the true next cells, cells drawn from the model's predictions are "
        f"{'; '.join(clauses)}.",
        details,
    )


def _clause(name: str, gain: PopulationDistance, known: list[str]) -> str:
    """The model beside one reference, with the distances of each verdict."""
    verdicts = {distance: gain.intervals[distance].verdict for distance in known}
    parts: list[str] = []
    for verdict, words in _WORDS.items():
        some = [TITLES[distance] for distance in known if verdicts[distance] == verdict]
        if some:
            parts.append(f"{words} {_OTHERS[name] if not parts else 'them'} in {_list(some)}")
    return ", ".join(parts)


def _figures(intervals: Mapping[str, Interval]) -> str:
    """Differences with their 95 % intervals."""
    return "; ".join(
        f"{TITLES[name]} {found.mean:+.{DIGITS[name]}f} "
        f"({span(found.low, found.high, DIGITS[name])})"
        for name, found in intervals.items()
    )


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
