"""Splits that hold out whole groups: donors, batches, lineages, time points.

*Groups.* All cells of a group go to one split: those named go where they are named, the others are
drawn at random.

*Time points.* A held-out time point alone has no next time point: no cell in it has a successor,
and none is a successor. Therefore a fraction of the time point just before goes along into the
same split, as current cells (of the first time point, a fraction of the one just after, as
successors). These companions leave training, so no cell is in two splits and no edge crosses one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.data.folder import TRAIN
from bionemo.geneformer_t.prepare.splits import check_fractions, split_by_cell
from bionemo.geneformer_t.some_names import some_names

_SHOWN = 10


def split_by_group(
    groups: Shaped[ndarray, " cell"],
    fractions: Mapping[str, float],
    rng: np.random.Generator,
    named: Mapping[str, Sequence[str]] | None = None,
) -> Shaped[ndarray, " cell"]:
    """Put whole groups into splits.

    Args:
        groups: The label of each cell.
        fractions: Each split's name and its fraction of the cells, which whole groups meet only
            roughly. It does not count for a split with named groups.
        rng: Which of the other groups go where.
        named: Labels of the groups of some splits.

    Raises:
        ValueError: A name is no group or is given again, or a split is left without a group.
    """
    check_fractions(fractions)
    given = _checked(named or {}, groups, "groups")
    split = np.full(len(groups), "", dtype=_width(fractions))
    for name, labels in given.items():
        split[np.isin(groups, labels)] = name
    free = split == ""
    if not free.any():
        _check_train(split, given)
        return split
    wanted = {name: share for name, share in fractions.items() if share > 0 and name not in given}
    for label, name in _assign(groups[free], wanted, rng).items():
        split[free & (groups == label)] = name
    _check_train(split, given)
    return split


def split_by_time_point(
    times: Float[ndarray, " cell"],
    labels: Shaped[ndarray, " cell"],
    fractions: Mapping[str, float],
    rng: np.random.Generator,
    named: Mapping[str, Sequence[str]],
) -> Shaped[ndarray, " cell"]:
    """Hold out whole time points; divide the others by cell.

    Args:
        times: Time of each cell.
        labels: How `named` calls each cell's time.
        fractions: Each split's name and its fraction. Of a split with time points held out, it is
            the fraction of the neighboring time point that goes along; the others take theirs
            of every time point that is not held out.
        rng: Which cells go where.
        named: Labels of the time points of some splits.

    Raises:
        ValueError: A label is no time point or is given again, nothing is left to train on, or the
            fraction that should go along is 0.
    """
    check_fractions(fractions)
    given = _checked(named, labels, "time points")
    split = np.full(len(times), "", dtype=_width(fractions))
    for name, held_out in given.items():
        split[np.isin(labels, held_out)] = name
    free = split == ""
    if not free.any():
        _check_train(split, given)
    shares = {name: 0.0 if name in given else share for name, share in fractions.items()}
    shares[TRAIN] += 1 - sum(shares.values())
    split[free] = split_by_cell(int(free.sum()), shares, rng, groups=times[free])
    held_out_in = {
        float(times[labels == label][0]): name for name in given for label in given[name]
    }
    for time, name in sorted(held_out_in.items()):
        companion = _companion(time, np.unique(times))
        if held_out_in.get(companion) == name:
            continue  # the time point beside it is in the same split
        along = _fraction_of(np.flatnonzero(times == companion), fractions[name], name, rng)
        split[along] = name
    _check_train(split, given)
    return split


def _companion(time: float, points: Float[ndarray, " point"]) -> float:
    """The time point just before; for the first, the one just after."""
    place = int(np.searchsorted(points, time))
    return float(points[place - 1] if place else points[min(1, len(points) - 1)])


def _fraction_of(members: ndarray, fraction: float, name: str, rng: np.random.Generator) -> ndarray:
    if fraction <= 0:
        raise ValueError(
            f"a held-out time point needs current cells from the time point beside it, and "
            f"{name}_fraction is the fraction of them that goes along into {name}; got {fraction}"
        )
    return rng.permutation(members)[: max(1, round(fraction * len(members)))]


def _checked(
    named: Mapping[str, Sequence[str]], groups: Shaped[ndarray, " cell"], what: str
) -> dict[str, list[str]]:
    given = {name: [str(label) for label in labels] for name, labels in named.items() if labels}
    held = sorted(set(groups.tolist()))
    every = [label for labels in given.values() for label in labels]
    unknown = [label for label in every if label not in held]
    if unknown:
        raise ValueError(
            f"no cell is in {', '.join(map(repr, unknown))}; the {what} are "
            f"{some_names(held, _SHOWN)}"
        )
    if len(set(every)) < len(every):
        raise ValueError(f"each of the {what} can be held out once; got {', '.join(every)}")
    return given


def _assign(
    groups: Shaped[ndarray, " cell"], fractions: Mapping[str, float], rng: np.random.Generator
) -> dict[str, str]:
    """Each group in random order to the split that lacks most, but none stays without a group."""
    labels, sizes = np.unique(groups, return_counts=True)
    if len(labels) < len(fractions):
        raise ValueError(
            f"{len(labels)} groups ({', '.join(map(str, labels[:_SHOWN]))}) are too few for the "
            f"splits {', '.join(fractions)}, each of which needs a whole one; set a fraction to 0, "
            "or split by another column"
        )
    total = sum(fractions.values())
    lacking = {name: fraction / total * len(groups) for name, fraction in fractions.items()}
    chosen: dict[str, str] = {}
    for left, place in zip(range(len(labels), 0, -1), rng.permutation(len(labels)), strict=True):
        empty = [name for name in fractions if name not in chosen.values()]
        name = max(empty if left <= len(empty) else fractions, key=lambda name: lacking[name])
        chosen[str(labels[place])] = name
        lacking[name] -= sizes[place]
    return chosen


def _check_train(split: Shaped[ndarray, " cell"], given: Mapping[str, Sequence[str]]) -> None:
    if not (split == TRAIN).any():
        held_out = ", ".join(label for labels in given.values() for label in labels)
        raise ValueError(f"no cell is left to train on once {held_out} are held out")


def _width(fractions: Mapping[str, float]) -> str:
    return f"<U{max(map(len, fractions))}"
