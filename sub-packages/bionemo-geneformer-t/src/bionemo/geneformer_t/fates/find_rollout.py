"""From transitions and the columns of obs to walks, and to what they say beside the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.chain_structure import checked_transitions
from bionemo.geneformer_t.fates.cluster_codes import (
    NO_CLUSTER,
    ClusterCodes,
    cells_labelled,
    cluster_codes,
)
from bionemo.geneformer_t.fates.composition import (
    Shares,
    along,
    any_candidate,
    either_direction,
    exact_shares,
    sampled_shares,
    total_variation,
)
from bionemo.geneformer_t.fates.later_times import LaterTimes, later_times
from bionemo.geneformer_t.fates.rollout_settings import RolloutSettings
from bionemo.geneformer_t.fates.rollout_tables import (
    ANY_CANDIDATE,
    EITHER_DIRECTION,
    EXACT,
    WALKS,
    nearest_steps,
    rollout_table,
)
from bionemo.geneformer_t.fates.walks import starting_cells, walks

_FEW = 10
"""Starting cells below which a bootstrap over them is no guide."""
_STOPPED = 1 - 1e-9
"""Share of walks from which on all count as stopped."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Walks, and the composition of their cells at each step."""

    visited: Int[ndarray, "walk time"]
    """Places of cells in obs."""
    table: pd.DataFrame
    """Shares by source and step or time point; see `fates/rollout_tables.py`."""
    times: pd.DataFrame
    """For each later time point the step whose exact composition is nearest."""
    clusters: ClusterCodes
    notes: tuple[str, ...]

    def uns(self, obs_names: "pd.Index[str]") -> dict[str, Any]:
        """What is written to `uns`; cells by name, so that it stays true for some of the cells."""
        cells, places = np.unique(self.visited, return_inverse=True)
        return {
            "table": self.table,
            "times": self.times,
            "walks": places.reshape(self.visited.shape).astype(np.int32),
            "cells": obs_names.to_numpy(dtype=object)[cells],
            "notes": np.array(self.notes, dtype=object),
        }

    def walk_table(self, obs_names: "pd.Index[str]") -> pd.DataFrame:
        """One row for each walk and step: the cell, and its cluster."""
        walk, step = np.divmod(np.arange(self.visited.size), self.visited.shape[1])
        cells = self.visited.ravel()
        names = np.array(self.clusters.names, dtype=object)
        return pd.DataFrame(
            {
                "walk": walk, "step": step, "cell": obs_names.to_numpy(dtype=object)[cells],
                "cluster": names[self.clusters.codes[cells]],
            }
        )  # fmt: skip


def find_rollout(matrix: Any, obs: pd.DataFrame, key: str, settings: RolloutSettings) -> Rollout:
    """Walk, and compare.

    Args:
        matrix: Cells x cells, current cells in rows.
        obs: A row for each cell.
        key: Of the matrix in obsp, for messages.
        settings: Where to start, and how far.

    Raises:
        KeyError: No such column or label; lists those that exist.
        ValueError: It is no transition matrix, or there is no starting cell.
    """
    given = checked_transitions(matrix, obs.index.to_numpy(), f"obsp[{key!r}]")
    clusters = cluster_codes(obs, settings.cluster_key)
    starts = _starts(obs, settings)
    times = None
    if settings.time_key is not None:
        times = later_times(obs, settings.time_key, settings.time_order, clusters, starts)
    staying = np.diff(given.indptr) == 0
    transitions = _with_stays(given, staying)
    absorbing = _absorbing(transitions)
    first = starting_cells(starts, settings.num_walks, settings.seed)
    visited = walks(transitions, first, settings.num_steps, settings.seed)
    begin = np.zeros(len(obs))
    begin[starts] = 1 / len(starts)
    steps = {
        EXACT: along(transitions),
        ANY_CANDIDATE: any_candidate(transitions),
        EITHER_DIRECTION: either_direction(transitions),
    }
    found = {WALKS: sampled_shares(visited, clusters, absorbing, settings.seed)}
    for source, step in steps.items():
        found[source] = exact_shares(step, begin, settings.num_steps, clusters, absorbing)
    all_cells = clusters.shares(np.full(len(obs), 1 / len(obs)))
    notes = _notes(found, times, clusters, len(starts), int(staying.sum()), settings)
    return Rollout(
        visited=visited,
        table=rollout_table(found, all_cells, times, clusters.names),
        times=nearest_steps(found[EXACT].clusters, all_cells, times),
        clusters=clusters,
        notes=tuple(notes),
    )


def _starts(obs: pd.DataFrame, settings: RolloutSettings) -> Int[ndarray, " start"]:
    if settings.start is None:
        if settings.start_key is not None:
            raise ValueError(
                f"start_key={settings.start_key!r} needs start, the labels to start from; without "
                "it walks start from all cells, and start_key says nothing"
            )
        return np.arange(len(obs))
    key = settings.cluster_key if settings.start_key is None else settings.start_key
    return np.flatnonzero(cells_labelled(obs, key, settings.start, "start"))


def _with_stays(transitions: sp.csr_array, staying: Bool[ndarray, " cell"]) -> sp.csr_array:
    """Probability 1 of staying where there is no transition."""
    if not staying.any():
        return transitions
    looped = sp.csr_array(transitions + sp.diags_array(staying.astype(np.float64), format="csr"))
    looped.eliminate_zeros()
    looped.sort_indices()
    return looped


def _absorbing(transitions: sp.csr_array) -> Bool[ndarray, " cell"]:
    """Cells that go nowhere but to themselves."""
    alone = np.diff(transitions.indptr) == 1
    return alone & (transitions.indices[transitions.indptr[:-1]] == np.arange(len(alone)))


def _notes(
    found: dict[str, Shares],
    times: LaterTimes | None,
    clusters: ClusterCodes,
    num_starts: int,
    num_staying: int,
    settings: RolloutSettings,
) -> Iterator[str]:
    """How far to trust the walks, and what was counted."""
    exact, last = found[EXACT], settings.num_steps
    apart = total_variation(found[WALKS].clusters, exact.clusters)
    worst = int(apart.argmax())
    yield (
        f"sampled compositions differ from the exact ones by {apart[worst]:.3f} (total variation) "
        f"or less, most at step {worst}; what differs by less is sampling noise, which more walks "
        "make smaller"
    )
    null = found[EITHER_DIRECTION].clusters[last]
    direction = float(total_variation(exact.clusters[last], null))
    yield (
        f"after {last:,} steps the exact composition differs by {direction:.3f} from that of walks "
        "along the same transitions in either direction"
    )
    used = min(num_starts, settings.num_walks)
    if used < num_starts:
        yield f"walks start from {used:,} of {num_starts:,} starting cells; give more walks for all"
    if used < _FEW:
        units = "walks from it" if used == 1 else "them"
        yield (
            f"intervals are of {used:,} starting cell{'s' if used > 1 else ''}, by a bootstrap "
            f"over {units}: they say little of other cells"
        )
    stopped = np.flatnonzero(exact.absorbed >= _STOPPED)
    if len(stopped):
        yield f"from step {stopped[0]:,} on, all walks are in cells that cannot be left"
    if num_staying:
        yield f"{num_staying:,} cells without any transition: taken to stay as they are"
    if clusters.num_without:
        yield (
            f"{clusters.num_without:,} cells have no label in obs[{settings.cluster_key!r}]: they "
            f"are the cluster {NO_CLUSTER!r}"
        )
    if times is not None and times.num_unknown:
        yield f"{times.num_unknown:,} cells have no time in obs[{settings.time_key!r}]"
    if times is not None and not times.labels:
        yield f"no time point of obs[{settings.time_key!r}] is later than the starting cells"
