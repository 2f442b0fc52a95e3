"""Where a graph looks wrong, in plain words, and what to do about it.

The limits are in `WarningLimits`; a sentence is written only where a measure passes its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class WarningLimits:
    """When a graph looks wrong."""

    distance_ratio: float = 0.95
    """Successors are no closer than random cells from this ratio of their distances on."""
    leaps: float = 0.05
    """Fraction of all steps that may lead at least as far as half of all cells are."""
    leaps_from: float = 0.1
    """Fraction of the steps from one cluster that may."""
    leaps_in_time: float = 0.4
    """Fraction of all steps that may lead at least as far as half of the cells of the successor's
    time point. Random successors have 0.5, and so have right ones in a time point of like cells."""
    leaps_in_time_from: float = 0.6
    """Fraction of the steps from one cluster that may: from here on, worse than random."""
    leaks: float = 0.05
    """Fraction of all steps that may lead to clusters which are not connected."""
    leaks_from: float = 0.1
    """Fraction of the steps from one cluster that may."""
    leaks_low: float = 0.02
    """Either must have a 95 % interval above this, so that a few cells do not decide."""
    symmetric: float = 0.75
    """No direction from this fraction of steps on that are balanced by reverse steps."""
    half_symmetric: float = 0.4
    """Little direction from this fraction on."""
    backward: float = 0.1
    """Fraction of steps that may go back in time."""
    level: float = 0.5
    """Fraction of steps that may stay at the same time."""
    dead_ends: float = 0.1
    """Fraction of the cells that may lack successors where the trajectory cannot have ended."""
    hubs: float = 0.25
    """Least number of cells in which half of all edges end, as a fraction of that by chance."""
    crossing: float = 0.5
    """Least fraction of steps across batches, relative to that by chance."""
    reached: float = 0.5
    """Least fraction of the cells that must be reachable from the root."""
    dropped: float = 0.05
    """Fraction of the edges that may be left out."""
    cells_for_hubs: int = 100
    """Hubs are not searched in fewer cells, where a few must have many edges."""


@dataclass(frozen=True, kw_only=True)
class GraphWarning:
    """One thing that looks wrong."""

    kind: str
    """A key of `CHECKS`, or `empty`."""
    sentence: str


def graph_warnings(
    quality: GraphQuality, limits: WarningLimits = WarningLimits()
) -> tuple[GraphWarning, ...]:
    """A sentence for each thing that looks wrong, the most severe first."""
    if quality.num_edges == 0:
        nothing = "The graph has no edges: there is nothing to train on."
        return (GraphWarning(kind="empty", sentence=nothing),)
    found = {kind: check(quality, limits) for kind, check in CHECKS.items()}
    return tuple(
        GraphWarning(kind=kind, sentence=sentence) for kind, sentence in found.items() if sentence
    )


def _distance(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.distances
    if found is None or (found.ratio <= limits.distance_ratio and found.ratio_high < 1):
        return ""
    whom = "a random cell" if found.same_time is None else "a random cell of the same time point"
    return (
        f"A successor is on average no closer in expression than {whom} ({found.ratio:.2f} of that "
        f"distance, at most {found.ratio_high:.2f}): the graph says little about who becomes whom. "
        "Use fewer neighbors or another builder, or check that these are the cells it was made for."
    )


def _leaps(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.distances
    if found is None or _distance(quality, limits):
        return ""
    whom, most, most_from = "all cells", limits.leaps, limits.leaps_from
    if found.same_time is not None:
        whom = "the cells of the successor's time point"
        most, most_from = limits.leaps_in_time, limits.leaps_in_time_from
    worst = sorted(found.leaps_from.items(), key=lambda item: -item[1])
    leaping = [f"{share:.0%} of those from {n}" for n, share in worst if share > most_from]
    if not leaping and found.leaps <= most:
        return ""
    more = f" ({', '.join(leaping[:_SHOWN])})" if leaping else ""
    return (
        f"{found.leaps:.0%} of the steps{more} lead at least as far as half of {whom} are, where "
        "random successors would be at 50%: these cells have no successors of their own kind. "
        "Branches that end early, missing time points and cells outside the trajectory look like "
        "this; against the first, the method trajectory helps where another one made this graph."
    )


def _leaks(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.leakage
    if found is None:
        return ""
    leaking = {
        one.source
        for one in found.clusters
        if one.fraction > limits.leaks_from and one.low > limits.leaks_low
    }
    all_leak = found.fraction > limits.leaks and found.low > limits.leaks_low
    worst = [pair for pair in found.pairs if all_leak or pair.source in leaking]
    if not leaking and not all_leak:
        return ""
    pairs = ", ".join(
        f"{p.fraction:.0%} of those from {p.source} to {p.target} ({p.by_chance:.0%} by chance)"
        for p in worst[:_SHOWN]
    )
    more = f", and {len(worst) - _SHOWN:,} more pairs" if len(worst) > _SHOWN else ""
    return (
        f"{found.fraction:.0%} of the steps (random cells of the same time: {found.expected:.0%}) "
        f"lead to a cluster that PAGA does not connect to that of the current cell: {pairs}{more}. "
        f"Edges join {found.num_joined:,} of the {found.num_pairs:,} pairs of clusters, of which "
        f"PAGA connects {found.num_connected:,}. A model learns these transitions as true. Use the "
        "method trajectory or fewer neighbors, or check the labels of these clusters."
    )


def _symmetry(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.reciprocity
    if found is None or found.steps < limits.half_symmetric:
        return ""
    remedy = "Give time, pseudotime or velocity to a builder."
    if found.steps < limits.symmetric:
        return (
            f"{found.edges:.0%} of the edges run both ways, so that much of the graph carries no "
            f"direction. {remedy}"
        )
    return (
        f"The graph is symmetric ({found.edges:.0%} of its edges run both ways) and so carries no "
        f"direction: a model trained on it learns similar cells, not next cells. {remedy}"
    )


def _backward(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.direction
    if found is None or found.backward <= limits.backward:
        return ""
    reversed_ = " It may be reversed." if found.backward > 0.7 else ""
    return (
        f"{found.backward:.0%} of the steps go back in time, {found.forward:.0%} forward: the "
        f"graph does not follow this time.{reversed_}"
    )


def _level(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.direction
    if found is None or found.level <= limits.level:
        return ""
    return (
        f"{found.level:.0%} of the steps stay at the same time, which cannot say whether they go "
        "forward."
    )


def _dead_ends(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.dead_ends
    if found.num_without <= limits.dead_ends * found.num_cells:
        return ""
    cells = f"{found.num_cells:,} cells {found.where}".rstrip()
    return (
        f"{found.num_without:,} of the {cells} have no successors "
        f"({found.num_without / found.num_cells:.0%}); training leaves them out."
    )


def _reach(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.reach
    if found is None or found.share >= limits.reached:
        return ""
    root = f"the root ({found.origin}, {found.num_roots:,} cells)"
    return (
        f"Only {found.share:.0%} of the cells can be reached from {root}: the others follow no "
        "cell, or are in parts that are not connected. More neighbors join them; a wrong root "
        "looks the same."
    )


def _hubs(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.hubs
    enough = quality.num_cells >= limits.cells_for_hubs
    if not enough or found.num_holders >= limits.hubs * found.by_chance:
        return ""
    return (
        f"Half of all edges end in {found.num_holders:,} cells, where chance would spread them "
        f"over {found.by_chance:,}: these hubs will be most of what the model learns to predict. "
        "Look at what they are (doublets, cells with very high or low counts), or use a builder "
        "that shares successors out (optimal transport, mutual nearest neighbors)."
    )


def _batches(quality: GraphQuality, limits: WarningLimits) -> str:
    found = quality.batches
    if found is None or found.num_batches < 2:
        return ""
    if found.crossing >= 0.999 and found.expected >= 0.999:
        return (
            "Every step leads to another batch, because no batch holds both times: a difference "
            "between batches cannot be told from a change in time."
        )
    if found.crossing >= limits.crossing * found.expected:
        return ""
    return (
        f"Only {found.crossing:.0%} of the steps cross batches where chance would give "
        f"{found.expected:.0%}: cells are near their own batch rather than their own kind. "
        "Integrate the batches first and give the corrected coordinates to the builder."
    )


def _dropped(quality: GraphQuality, limits: WarningLimits) -> str:
    total = sum(quality.dropped.values())
    if total <= limits.dropped * (total + quality.num_edges):
        return ""
    reasons = ", ".join(f"{count:,} {why}" for why, count in quality.dropped.items() if count)
    return f"{total:,} of {total + quality.num_edges:,} edges were left out: {reasons}."


CHECKS: dict[str, Callable[[GraphQuality, WarningLimits], str]] = {
    "distance": _distance,
    "leaps": _leaps,
    "leaks": _leaks,
    "symmetric": _symmetry,
    "backward": _backward,
    "level": _level,
    "dead ends": _dead_ends,
    "reach": _reach,
    "hubs": _hubs,
    "batches": _batches,
    "dropped": _dropped,
}
"""All checks, the most severe first; each returns an empty sentence where nothing is wrong."""
