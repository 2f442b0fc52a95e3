"""Terminal states that the chain itself shows: closed classes, or clusters that gain and keep.

A closed class is an end for certain. Transitions of nearest cells or of a model hardly ever close:
some path leads back from everywhere, and the chain is one class. There the question is where cells
are after a while. The chain stops after a random number of steps (geometric, as in a random walk
with restart), long enough to reach the ends and short beside the rare ways back. A cluster is
terminal if it then holds more of all cells than at the start (it gains) and at least half of those
that started in it (it keeps): a source keeps and does not gain, a stage in between gains and does
not keep.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.absorption_solver import solve_absorption
from bionemo.geneformer_t.fates.chain_structure import ChainStructure
from bionemo.geneformer_t.fates.terminal_settings import TerminalSettings
from bionemo.geneformer_t.fates.terminal_states import TerminalStates

KEPT = 0.5
"""Fraction of its own cells that a terminal cluster holds then."""
_UNNAMED = "sink"
_ROUNDING = 1e-6
"""What is gained by less is gained by errors of the solver."""
_SHORTER = (50.0, 20.0, 10.0, 5.0, 2.0)
"""Horizons that are tried where one gives no two states, to say which would."""


def found_states(
    transitions: sp.csr_array,
    structure: ChainStructure,
    labels: "pd.Series[str] | None" = None,
    *,
    min_cells: int = TerminalSettings.min_cells,
    horizon: float = TerminalSettings.horizon,
) -> TerminalStates:
    """The closed classes of half of all cells or fewer; else the clusters that gain and keep cells.

    Closed classes in the same cluster, by the majority of their cells, are one state; without
    clusters each is its own. States below `min_cells` cells are left out, with a note.

    Args:
        transitions: Of `checked_transitions`.
        structure: Of `chain_structure`.
        labels: The cluster of each cell; missing where it is in none.
        min_cells: Fewest cells of a state.
        horizon: Expected number of steps.

    Raises:
        ValueError: There are fewer than two such states, or the horizon is below one step.
    """
    if not horizon >= 1:
        raise ValueError(f"horizon must be at least 1 step; got {horizon}")
    texts = None if labels is None else labels.astype(object).map(str, na_action="ignore")
    names, state, notes = _closed(structure, texts, min_cells)
    if len(names) >= 2:
        return TerminalStates(
            names=names, state=state, how="the closed classes of the chain", notes=notes
        )
    if texts is None:
        raise ValueError(
            f"terminal states cannot be found: {'; '.join(structure.sentences())}. Two closed "
            f"classes of {min_cells} cells or more, and of at most half of all, would be fates. "
            "Give cluster_key, so that clusters that gain and keep cells can be found, or name "
            "them in terminal"
        )
    return _gaining(transitions, texts, min_cells, horizon)


def _closed(
    structure: ChainStructure, texts: "pd.Series[str] | None", min_cells: int
) -> tuple[tuple[str, ...], Int[ndarray, " cell"], tuple[str, ...]]:
    """Names, the state of each cell, and how many cells are in classes that are left out."""
    sizes = np.bincount(structure.closed[structure.closed >= 0])
    name_of = {}
    for number in np.flatnonzero(sizes * 2 <= len(structure.closed)):
        members = structure.closed == number
        if texts is None:
            name_of[number] = f"{_UNNAMED} {number + 1}"
        elif texts[members].notna().any():
            name_of[number] = str(texts[members].mode().iloc[0])
    cells: dict[str, int] = {}
    for number, name in name_of.items():
        cells[name] = cells.get(name, 0) + int(sizes[number])
    names = tuple(name for name, size in cells.items() if size >= min_cells)
    state_of = np.full(len(sizes) + 1, -1)  # the last for cells in no closed class
    for number, name in name_of.items():
        state_of[number] = names.index(name) if name in names else -1
    small = sum(size for size in cells.values() if size < min_cells)
    unnamed = int(sizes[sizes * 2 <= len(structure.closed)].sum()) - sum(cells.values())
    left = (
        (small, f"in closed classes of fewer than {min_cells} cells"),
        (unnamed, "in closed classes whose cells have no cluster"),
    )
    notes = (f"{number:,} cells {where} are no fate" for number, where in left if number)
    return names, state_of[structure.closed], tuple(notes)


def _gaining(
    transitions: sp.csr_array, texts: "pd.Series[str]", min_cells: int, horizon: float
) -> TerminalStates:
    good, gain, kept = _good(transitions, texts, min_cells, horizon)
    how = f"the clusters that gain cells and keep half of their own over {horizon:g} steps"
    if len(good) < 2:
        said = ", ".join(
            f"{name} {gain[name]:.2f} times its cells, keeps {kept[name]:.0%}" for name in gain
        )
        raise ValueError(
            f"terminal states cannot be found: fates need two or more; {how} are {len(good)} of "
            f"{len(gain)} ({said}). {_what_to_do(transitions, texts, min_cells, horizon)}"
        )
    place = {name: number for number, name in enumerate(good)}
    state = np.array([place.get(name, -1) for name in texts], dtype=np.int64)
    return TerminalStates(names=tuple(good), state=state, how=how)


def _good(
    transitions: sp.csr_array, texts: "pd.Series[str]", min_cells: int, horizon: float
) -> tuple[list[str], dict[str, float], dict[str, float]]:
    """Clusters that gain and keep; and of each how many times its cells it holds, and of its own.

    Clusters of too few cells are none of them.
    """
    codes, clusters = pd.factorize(texts, sort=True)
    held = where_after(transitions, codes, len(clusters), horizon)
    sizes = np.bincount(codes[codes >= 0], minlength=len(clusters))
    names = [str(name) for name in clusters]
    gain = dict(zip(names, (held.sum(axis=0) / sizes).tolist(), strict=True))
    kept = {name: float(held[codes == at, at].mean()) for at, name in enumerate(names)}
    good = [
        name
        for name, size in zip(names, sizes, strict=True)
        if gain[name] > 1 + _ROUNDING and kept[name] >= KEPT and size >= min_cells
    ]
    return good, gain, kept


def _what_to_do(
    transitions: sp.csr_array,
    texts: "pd.Series[str]",
    min_cells: int,
    horizon: float,
) -> str:
    """The longest horizon that gives two states, where there is one.

    Cells at the ends of development go to each other where nothing later is known. Over long times
    they all are in the end that the others leave least; over shorter ones each end keeps its own.
    """
    for shorter in (steps for steps in _SHORTER if steps < horizon):
        good, _, _ = _good(transitions, texts, min_cells, shorter)
        if len(good) >= 2:
            return (
                f"Over {shorter:g} steps they are {', '.join(good)}: where the ends of development "
                "go to each other, a shorter horizon tells them apart. If these are ends, give "
                f"horizon={shorter:g}; otherwise name clusters in terminal"
            )
    return "No shorter horizon gives two either: name clusters in terminal"


def where_after(
    transitions: sp.csr_array, codes: Int[ndarray, " cell"], number: int, horizon: float
) -> Float[ndarray, "cell cluster"]:
    """The probability of being in each cluster after a random number of steps.

    Before each step the chain stops with probability 1 / (horizon + 1). To be stopped is to be
    absorbed, so the equations are those of fates.

    Args:
        transitions: Of `checked_transitions`.
        codes: The cluster of each cell; -1 where it is in none.
        number: Of clusters.
        horizon: Expected number of steps.
    """
    staying = sp.diags_array((np.diff(transitions.indptr) == 0).astype(float), format="csr")
    stop = 1 / (horizon + 1)
    going = sp.csr_array((transitions + staying) * (1 - stop))
    sources = np.zeros((len(codes), number))
    known = np.flatnonzero(codes >= 0)
    sources[known, codes[known]] = stop
    everyone = np.ones(len(codes), dtype=bool)
    return solve_absorption(going, everyone, sources).columns
