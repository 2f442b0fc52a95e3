"""One verdict over all headline measures and all baselines, and what the graph taught.

The headline measures are cross-entropy over all genes and over new genes, change of genes, and
direction. The model beats a baseline where its cross-entropy over all genes is lower beyond the
interval, and no headline measure is worse beyond its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.row_names import MODEL, SHUFFLED
from bionemo.geneformer_t.table import span

ALL_GENES, NEW_GENES = "cross-entropy over all genes", "cross-entropy over new genes"
CHANGE, DIRECTION = "change of genes", "direction"
FREQUENCIES = "gene frequencies at each rank"

NO_INFORMATION = "No information in the graph was shown: shuffled successors teach as much."
NO_CONTROL = (
    "What the graph taught is not known: no model of shuffled successors was trained beside this "
    "one (train with --controls)."
)
TOO_FEW = "Too few cells or donors for a verdict on the model beside its baselines."
_MOST_NAMED = 2

Measures = Mapping[str, Interval]
"""Name of a headline measure -> what the model gains in it; above zero it is better."""


def headline_measures(evaluation: Evaluation, name: str) -> Measures:
    """What the model gains over a baseline or control in each headline measure.

    Without new genes in the next cells there is no measure of them.
    """
    gain = evaluation.advantages[name]
    new = {NEW_GENES: gain.changed} if evaluation.num_changed else {}
    return {ALL_GENES: gain.all, **new, CHANGE: gain.change, DIRECTION: gain.direction}


def with_verdict(measures: Measures, verdict: str) -> dict[str, Interval]:
    """Those of the measures that have this verdict."""
    return {name: gain for name, gain in measures.items() if gain.verdict == verdict}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The model beside all baselines, over all headline measures at once."""

    gains: Mapping[str, Measures]
    """Name of each baseline -> what the model gains over it."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Headline":
        """Of the baselines; controls and bounds have sentences of their own."""
        return cls(
            gains={name: headline_measures(evaluation, name) for name in evaluation.baselines}
        )

    @property
    def is_enough(self) -> bool:
        """Whether there are enough cells and donors for a verdict."""
        return all(gains[ALL_GENES].verdict != "too few" for gains in self.gains.values())

    @cached_property
    def worse(self) -> dict[str, dict[str, Interval]]:
        """Name of a baseline -> measures in which the model is worse beyond the interval."""
        found = {name: with_verdict(gains, "worse") for name, gains in self.gains.items()}
        return {name: measures for name, measures in found.items() if measures}

    @property
    def no_better(self) -> list[str]:
        """Baselines whose cross-entropy over all genes is as low, within the interval."""
        return [name for name, gains in self.gains.items()
                if gains[ALL_GENES].verdict in {"no better", "not known"}]  # fmt: skip

    @property
    def judged(self) -> list[str]:
        """Measures with enough cells and donors for a verdict beside every baseline."""
        withheld = {"too few", "not known"}
        return [
            what
            for what in next(iter(self.gains.values()))
            if not withheld & {gains[what].verdict for gains in self.gains.values()}
        ]

    @property
    def beats_all(self) -> bool | None:
        """Whether the model beats every baseline; None where there are too few cells to tell."""
        return not self.worse and not self.no_better if self.is_enough else None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if not self.is_enough:
            return TOO_FEW
        best = min(self.gains, key=lambda name: self.gains[name][ALL_GENES].mean)
        least = self.gains[best][ALL_GENES]
        subject = MODEL[0].upper() + MODEL[1:]
        if self.beats_all:
            return (
                f"{subject} beats every baseline: {best}, the best one, by {nats(least)}, and in "
                f"no headline measure ({', '.join(self.judged)}) is it worse than any beyond the "
                "interval."
            )
        reasons = [f"worse in {what} than {self._named(names)}" for what, names in
                   self._worse_by_measure.items()]  # fmt: skip
        if self.no_better:
            shown = f": it gains {nats(least)}" if self.no_better == [best] else ""
            reasons.append(f"no better in {ALL_GENES} than {self._named(self.no_better)}{shown}")
        return f"{subject} does not beat every baseline: it is {'; '.join(reasons)}."

    @property
    def _worse_by_measure(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, measures in self.worse.items():
            for what in measures:
                found.setdefault(what, []).append(name)
        return found

    def _named(self, baselines: list[str]) -> str:
        """Baselines by name, or by number where they are many."""
        if len(baselines) <= _MOST_NAMED:
            return " and ".join(baselines)
        return f"{len(baselines)} of {len(self.gains)} baselines"

    def to_dict(self) -> dict[str, object]:
        """Plain values, for `evaluation.json`."""
        return {
            "sentence": self.sentence,
            "beats_every_baseline": self.beats_all,
            "worse": {name: list(measures) for name, measures in self.worse.items()},
            "no_better": self.no_better,
        }


def comparison(name: str, measures: Measures) -> str:
    """The model beside one baseline or control, over all headline measures."""
    subject, gain = MODEL[0].upper() + MODEL[1:], measures[ALL_GENES]
    worse = with_verdict(measures, "worse")
    match gain.verdict:
        case "better" if worse:
            return (
                f"{subject} does not beat {name}: it is worse in {listed(worse)}, though its "
                f"{ALL_GENES} is lower by {nats(gain)}."
            )
        case "better":
            return f"{subject} beats {name} by {nats(gain)}."
        case "worse":
            return f"{subject} is no better than {name}, it is worse: it loses {nats(gain, -1)}."
        case "too few":
            return (
                f"Too few cells or donors to tell whether {MODEL} beats {name}: it gains "
                f"{nats(gain)}."
            )
        case _:
            but = f"; it is worse in {listed(worse)}" if worse else ""
            return f"{subject} is no better than {name}: it gains {nats(gain)}{but}."


def graph_lesson(evaluation: Evaluation) -> str:
    """What the graph taught: the model beside one that learned from shuffled successors."""
    if SHUFFLED not in evaluation.advantages:
        return NO_CONTROL
    measures = headline_measures(evaluation, SHUFFLED)
    gain, better = measures[ALL_GENES], with_verdict(measures, "better")
    if gain.verdict == "too few":
        return f"Too few cells or donors to tell what the graph taught: {nats(gain)}."
    worse = with_verdict(measures, "worse")
    but = f" It is worse than with shuffled successors in {listed(worse)}." if worse else ""
    if not better:
        return NO_INFORMATION + but
    if ALL_GENES not in better:
        alike = "" if ALL_GENES in worse else f"; in {ALL_GENES} shuffled successors teach as much"
        return f"What the graph taught: {listed(better)}{alike}.{but}"
    del better[ALL_GENES]
    also = f"; also {listed(better)}" if better else ""
    return f"What the graph taught: {nats(gain)}{_fraction(evaluation, gain)}{also}.{but}"


def nats(gain: Interval, sign: int = 1) -> str:
    """A difference of cross-entropies with its interval."""
    low, high = sorted((sign * gain.low, sign * gain.high))
    return f"{sign * gain.mean:.3f} nats per position (95 % interval {span(low, high)})"


def listed(measures: Measures) -> str:
    """Measures with their gains."""
    return " and ".join(
        f"{name} ({gain.mean:+.3f}, {span(gain.low, gain.high)})" for name, gain in measures.items()
    )


def _fraction(evaluation: Evaluation, gain: Interval) -> str:
    """Of the gain over gene frequencies, where there is one."""
    whole = evaluation.advantages[FREQUENCIES].all
    if whole.verdict != "better":
        return ""
    return f", {gain.mean / whole.mean:.0%} of what the model gains over {FREQUENCIES}"
