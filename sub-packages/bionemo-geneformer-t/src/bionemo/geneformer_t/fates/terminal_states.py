"""Terminal states: which cells are the end of each fate.

Three ways to say it: clusters by name, the last time point, or what the chain itself shows
(`found_states.py`). All give the same type, so that their answers can be compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.terminal_settings import TerminalSettings

if TYPE_CHECKING:
    import pandas as pd

Label = str | int
"""Of a cluster, which may be a number."""
Terminal = str | Sequence[Label] | Mapping[str, Label | Sequence[Label]]
"""Names of clusters, or names of fates with the clusters of each."""
_NO_COLUMN = {"", ".", "_index"}
"""What HDF5 or anndata take for something else than the name of a column."""


@dataclass(frozen=True, kw_only=True)
class TerminalStates:
    """The cells in which each fate ends.

    Raises:
        ValueError: There are fewer than two states.
    """

    names: tuple[str, ...]
    state: Int[ndarray, " cell"]
    """The number of each cell's state; -1 where it is in none."""
    how: str
    """How they were chosen, in words."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            one = f"one, {self.names[0]!r}," if self.names else "none"
            raise ValueError(
                f"fates need two or more terminal states; {self.how} gives {one} and every cell "
                "that reaches a single one is certain to end there. Name more clusters, or "
                "several cluster labels within the last time point"
            )

    def __str__(self) -> str:
        sizes = ", ".join(
            f"{name} ({size:,} cells)" for name, size in zip(self.names, self.sizes, strict=True)
        )
        return f"terminal states, {self.how}: {sizes}"

    @property
    def is_terminal(self) -> Bool[ndarray, " cell"]:
        """Cells of any state."""
        return self.state >= 0

    @property
    def sizes(self) -> Int[ndarray, " state"]:
        """Cells of each state."""
        return np.bincount(self.state[self.is_terminal], minlength=len(self.names))

    def with_storable_names(self) -> "TerminalStates":
        """The same with names under which an .h5ad can hold columns, and a note on what changed.

        Raises:
            ValueError: Two names would be the same.
        """
        names = tuple(map(_storable, self.names))
        if len(set(names)) < len(names):
            raise ValueError(
                f"names of fates must differ in more than slashes, which an .h5ad cannot hold in "
                f"names of columns; got {', '.join(self.names)}. Give others: "
                'terminal={"name": "cluster"}'
            )
        changed = dict(pair for pair in zip(self.names, names, strict=True) if pair[0] != pair[1])
        reserved = {old: new for old, new in changed.items() if old in _NO_COLUMN}
        slashed = {old: new for old, new in changed.items() if old not in _NO_COLUMN}
        notes = [
            f"{', '.join(f'{old} is called {new}' for old, new in pairs.items())}: {why}"
            for pairs, why in (
                (slashed, "an .h5ad holds no slash in names of columns"),
                (reserved, "an .h5ad holds no column of such a name"),
            )
            if pairs
        ]
        return replace(self, names=names, notes=(*self.notes, *notes))

    def categories(self) -> "pd.Categorical[str]":
        """The state of each cell by name, missing where it is in none."""
        import pandas as pd

        return pd.Categorical.from_codes(self.state.tolist(), categories=pd.Index(self.names))


def cluster_states(
    labels: "pd.Series[str]",
    terminal: Terminal,
    cluster_key: str,
    last: Bool[ndarray, " cell"] | None = None,
) -> TerminalStates:
    """All cells of the clusters that are named; of the last time point alone where it is given.

    Args:
        labels: The cluster of each cell; cells without one are never terminal.
        terminal: Names of clusters, or names of fates with the clusters of each.
        cluster_key: The column of obs that holds them, for messages.
        last: Cells of the last time point.

    Raises:
        KeyError: No such cluster; lists those that exist.
        ValueError: A cluster is named twice, all clusters are named, a state has no cell, or there
            are fewer than two.
    """
    texts = labels.astype(object).map(str, na_action="ignore")
    there = sorted(texts.dropna().unique())
    fates = _fates(terminal)
    empty = [name for name, clusters in fates.items() if not clusters]
    if empty or not fates:
        of = f"fate {', '.join(map(repr, empty))} of terminal" if empty else "terminal"
        raise ValueError(f"{of} names no cluster; obs[{cluster_key!r}] has: {', '.join(there)}")
    wanted = [cluster for clusters in fates.values() for cluster in clusters]
    unknown = [cluster for cluster in dict.fromkeys(wanted) if cluster not in there]
    if unknown:
        raise KeyError(
            f"terminal: obs[{cluster_key!r}] has no cluster {', '.join(map(repr, unknown))}; it "
            f"has: {', '.join(there) or 'none'}"
        )
    twice = sorted({cluster for cluster in wanted if wanted.count(cluster) > 1})
    if twice:
        raise ValueError(f"terminal names {', '.join(map(repr, twice))} twice; name each once")
    state = np.full(len(texts), -1)
    for number, clusters in enumerate(fates.values()):
        state[texts.isin(clusters).to_numpy()] = number
    how = f"{', '.join(fates)} of obs[{cluster_key!r}]"
    if last is not None:
        state[~last] = -1
        how += ", in the last time point"
    missing = [
        name for number, name in enumerate(fates) if not (state == number).any()
    ]  # fmt: skip
    if missing:
        held = sorted(texts[last].dropna().unique()) if last is not None else there
        raise ValueError(
            f"terminal: the last time point has no cell of {', '.join(map(repr, missing))}; it "
            f"has cells of: {', '.join(held) or 'no cluster'}"
        )
    if (state >= 0).all():
        raise ValueError(
            f"terminal names all {len(there)} clusters of obs[{cluster_key!r}], so that no cell "
            "has a fate to find; name those in which development ends"
        )
    return TerminalStates(names=tuple(fates), state=state, how=how)


def last_time_states(
    times: Float[ndarray, " cell"],
    labels: "pd.Series[str] | None",
    min_cells: int = TerminalSettings.min_cells,
) -> TerminalStates:
    """The cells of the last time point, by cluster; clusters of too few cells there are no fate.

    Args:
        times: The time of each cell; NaN where it is not known.
        labels: The cluster of each cell.
        min_cells: Fewest cells of a cluster.

    Raises:
        ValueError: There are no labels, fewer than two times, or fewer than two clusters.
    """
    last = last_cells(times)
    if labels is None:
        raise ValueError(
            "the last time point is one terminal state as a whole, and every cell's fate; give "
            "cluster_key, so that its clusters are the fates"
        )
    texts = labels.astype(object).map(str, na_action="ignore")
    counts = texts[last].value_counts()
    names = sorted(counts.index[counts >= min_cells])
    small = sorted(counts.index[counts < min_cells])
    notes = []
    if small:
        notes.append(
            f"{', '.join(small)}: fewer than {min_cells} cells in the last time point, no fate of "
            "their own"
        )
    if without := int(texts[last].isna().sum()):
        notes.append(
            f"{without:,} of {int(last.sum()):,} cells of the last time point have no cluster and "
            "are not terminal"
        )
    state = np.full(len(texts), -1)
    for number, name in enumerate(names):
        state[last & (texts == name).to_numpy()] = number
    how = f"the clusters of the last time point ({int(last.sum()):,} cells)"
    return TerminalStates(names=tuple(names), state=state, how=how, notes=tuple(notes))


def last_cells(times: Float[ndarray, " cell"]) -> Bool[ndarray, " cell"]:
    """Which cells are of the last time point.

    Raises:
        ValueError: There are fewer than two time points.
    """
    distinct = np.unique(times[np.isfinite(times)])
    if len(distinct) < 2:
        raise ValueError(
            f"time_key: a last time point needs two or more; got {len(distinct)}. Name clusters "
            "as terminal instead"
        )
    found: Bool[ndarray, " cell"] = times == distinct[-1]
    return found


def _storable(name: str) -> str:
    """A name under which an .h5ad can hold a column."""
    return f"fate {name!r}" if name in _NO_COLUMN else name.replace("/", "-")


def _fates(terminal: Terminal) -> dict[str, list[str]]:
    """Fate -> clusters."""
    if isinstance(terminal, str):
        return {terminal: [terminal]}
    if not isinstance(terminal, Mapping):
        return {str(name): [str(name)] for name in terminal}
    return {str(name): _clusters_of(name, clusters) for name, clusters in terminal.items()}


def _clusters_of(fate: str, clusters: Any) -> list[str]:
    """The clusters of a fate; one label, text or a number, is one cluster.

    Raises:
        TypeError: There is none.
    """
    if clusters is None:
        raise TypeError(f"fate {fate!r} of terminal must name a cluster, or several; got None")
    if isinstance(clusters, str) or not isinstance(clusters, Iterable):
        return [str(clusters)]
    return [str(label) for label in clusters]
