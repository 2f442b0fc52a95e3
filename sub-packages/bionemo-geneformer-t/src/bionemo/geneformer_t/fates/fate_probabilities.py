"""Fate probabilities: where the chain of transitions ends, from every cell.

Terminal cells are made absorbing. With Q the transitions among the other cells and R those from
them into each terminal state, the probabilities of absorption are (I - Q)^-1 R and the expected
numbers of steps (I - Q)^-1 1 (Kemeny and Snell, 1976, Finite Markov Chains, theorems 3.3.5 and
3.3.7). Both are conditional on being absorbed where the chain may also be lost in a closed class
without terminal cells; how likely it is not to be is given beside them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from scipy.special import entr

from bionemo.geneformer_t.fates.absorption_solver import ACCEPTED, Solution, solve_absorption
from bionemo.geneformer_t.fates.chain_structure import ChainStructure, by_label
from bionemo.geneformer_t.fates.terminal_states import TerminalStates

LEAST_REACHED = 1e-5
"""Cells that reach a terminal state with a smaller probability have no fate: it would be mostly
the solver's error."""


@dataclass(frozen=True, kw_only=True)
class Fates:
    """Where cells go, and when."""

    names: tuple[str, ...]
    probabilities: Float[ndarray, "cell fate"]
    """Rows sum to 1; NaN where no terminal state can be reached."""
    steps: Float[ndarray, " cell"]
    """Expected number of steps to a terminal state, 0 in one; NaN where none can be reached."""
    reached: Float[ndarray, " cell"]
    """Probability of ever reaching a terminal state."""
    states: TerminalStates
    solution: Solution
    """With the error of the fate probabilities."""
    notes: tuple[str, ...]
    """What was met, in sentences."""

    @property
    def entropy(self) -> Float[ndarray, " cell"]:
        """Entropy of each cell's fate probabilities, in nats; from 0 to the logarithm of fates."""
        return entr(self.probabilities).sum(axis=1)


def fate_probabilities(
    transitions: sp.csr_array,
    structure: ChainStructure,
    states: TerminalStates,
    labels: Shaped[ndarray, " cell"] | None = None,
    *,
    direct: bool | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Fates:
    """Solve for all fates together.

    Args:
        transitions: Of `checked_transitions`.
        structure: Of `chain_structure`.
        states: The cells in which each fate ends.
        labels: The cluster of each cell, to say where cells without fates are.
        direct: Whether to factorise the matrix; by default for few cells.
        progress: Called with 1 for each fate and for the steps, when it is solved.

    Raises:
        ValueError: No other cell reaches a terminal state with a probability above 1e-5, or the
            solver does not converge.
    """
    terminal = states.is_terminal
    can_reach = structure.reaching(terminal)
    live = can_reach & ~terminal
    if not live.any():
        raise ValueError(
            f"no path leads to any terminal state ({', '.join(states.names)}) from the other "
            f"{int((~terminal).sum()):,} cells{by_label(~terminal, labels)}. Choose terminal "
            "states where transitions lead: " + "; ".join(structure.sentences(labels)[1:])
        )
    into = sp.csc_array((transitions @ _membership(states))[np.flatnonzero(live)])
    is_lost = bool((transitions @ (~can_reach).astype(np.float64))[live].any())
    # where every path ends in some state, the last probability is what the others leave
    rest = None if is_lost else int(into.sum(axis=0).argmax())
    solution = _solution(transitions, live, into, rest, direct=direct, progress=progress)
    absorbed, steps = np.maximum(solution.columns, 0, out=solution.columns), solution.steps
    total = absorbed.sum(axis=1)
    has_fate = total > LEAST_REACHED
    if not has_fate.any():
        raise ValueError(
            f"terminal states ({', '.join(states.names)}) are hardly ever reached: from no other "
            f"cell with a probability above {LEAST_REACHED:g}. Choose terminal states where "
            "transitions lead: " + "; ".join(structure.sentences(labels)[1:])
        )
    if is_lost:
        # of a quotient: errors of one probability and of the sum of all, divided by this sum
        least = float(total[has_fate].min(initial=1))
        solution = replace(solution, error=solution.error * (1 + len(states.names)) / least)
        # steps are counted on the paths that end: E[steps; absorbed] = (I - Q)^-1 P(absorbed)
        ending = solve_absorption(transitions, live, total[:, None], direct=direct)
        steps = np.divide(ending.columns[:, 0], total, where=total > 0, out=np.zeros_like(total))
    probabilities = np.full((len(live), len(states.names)), np.nan)
    probabilities[live] = absorbed / np.where(has_fate, total, np.nan)[:, None]
    probabilities[terminal] = np.eye(len(states.names))[states.state[terminal]]
    counted = np.where(terminal, 0.0, np.nan)
    counted[live] = np.where(has_fate, steps, np.nan)
    reached = terminal.astype(np.float64)
    reached[live] = total.clip(max=1) if is_lost else 1.0
    fates = Fates(
        names=states.names,
        probabilities=probabilities,
        steps=counted,
        reached=reached,
        states=states,
        solution=solution,
        notes=(),
    )
    return replace(fates, notes=(*states.notes, *_notes(fates, into, labels)))


def _solution(
    transitions: sp.csr_array,
    live: Bool[ndarray, " cell"],
    into: sp.csc_array,
    rest: int | None,
    *,
    direct: bool | None,
    progress: Callable[[int], object],
) -> Solution:
    """The solution for all fates; that of `rest` follows from the others, whose errors add up."""
    if rest is None:
        return solve_absorption(transitions, live, into, direct=direct, progress=progress)
    others = into[:, np.delete(np.arange(into.shape[1]), rest)]
    found = solve_absorption(transitions, live, others, direct=direct, progress=progress)
    left = 1 - found.columns.sum(axis=1)
    progress(1)
    return replace(
        found,
        columns=np.insert(found.columns, rest, left, axis=1),
        error=found.error * others.shape[1],
    )


def _notes(fates: Fates, into: sp.csc_array, labels: Shaped[ndarray, " cell"] | None) -> list[str]:
    """Cells without a fate, terminal states that nobody reaches, and cells that may be lost."""
    notes = []
    without = np.isnan(fates.steps)
    if without.any():
        rarely = int((without & (fates.reached > 0)).sum())
        some = f"; {rarely:,} of them do with a probability of {LEAST_REACHED:g} or less"
        notes.append(
            f"{int(without.sum()):,} of {len(without):,} cells reach no terminal state"
            f"{by_label(without, labels)}: they have no fate (NaN){some if rarely else ''}"
        )
    alone = [name for name, most in zip(fates.names, into.sum(axis=0), strict=True) if not most]
    if alone:
        notes.append(f"no other cell reaches {', '.join(alone)}: 0 for all cells outside")
    lost = ~without & (fates.reached < 1 - ACCEPTED)
    if lost.any():
        notes.append(
            f"{int(lost.sum()):,} cells may end where no terminal state can be reached any more, "
            f"with probability {1 - fates.reached[lost].mean():.2g} on average"
            f"{by_label(lost, labels)}: fate probabilities and steps are those of the paths that "
            "do reach one"
        )
    return notes


def _membership(states: TerminalStates) -> sp.csr_array:
    """Cells x states, 1 for the state of a terminal cell."""
    cells = np.flatnonzero(states.is_terminal).astype(np.int32)  # else the product copies indices
    shape = (len(states.state), len(states.names))
    return sp.csr_array(
        (np.ones(len(cells)), (cells, states.state[cells].astype(np.int32))), shape=shape
    )
