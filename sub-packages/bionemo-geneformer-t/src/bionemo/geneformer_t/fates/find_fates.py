"""From a matrix and the columns of obs to fates, for every way to choose terminal states."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.fates.chain_structure import (
    ChainStructure,
    chain_structure,
    checked_transitions,
)
from bionemo.geneformer_t.fates.fate_probabilities import Fates, fate_probabilities
from bionemo.geneformer_t.fates.found_states import found_states
from bionemo.geneformer_t.fates.terminal_settings import STEPS, TERMINAL, TerminalSettings
from bionemo.geneformer_t.fates.terminal_states import (
    Terminal,
    TerminalStates,
    cluster_states,
    last_cells,
    last_time_states,
)
from bionemo.geneformer_t.model.transition_settings import THEMSELVES
from bionemo.geneformer_t.neighbors.time_labels import time_values
from bionemo.geneformer_t.obs_columns import obs_column

logger = logging.getLogger(__name__)

Choice = Literal["clusters", "last time", "found"]
"""Ways to choose terminal states: named clusters, the last time point, or what the chain shows."""
_NAMES = (list, tuple, set, ndarray, pd.Index, pd.Series, pd.Categorical)
WRITE_TRANSITIONS = "gft.tl.transitions(adata, model) or geneformer-t transitions writes them"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A checked transition matrix, its structure, and what is known about its cells."""

    transitions: sp.csr_array
    structure: ChainStructure
    obs: pd.DataFrame
    labels: "pd.Series[Any] | None"
    """Cluster of each cell; missing where it has none."""

    @property
    def label_texts(self) -> Shaped[ndarray, " cell"] | None:
        """Clusters as text, for messages."""
        if self.labels is None:
            return None
        texts = self.labels.astype(object).map(str, na_action="ignore")
        return texts.fillna("no cluster").to_numpy(dtype=str)


def stored_transitions(obsp: Mapping[str, Any], key: Any, uns: Mapping[str, Any]) -> Any:
    """The matrix of obsp under a key.

    Args:
        obsp: Matrices of cells x cells.
        key: The name of one.
        uns: How transitions were made, under the same key.

    Raises:
        TypeError: The key is no text, such as a model.
        KeyError: There is no such matrix; lists those that exist.
        ValueError: The transitions under this key lead to other cells.
    """
    held = ", ".join(obsp) or "nothing"
    if not isinstance(key, str) or key.endswith(".ckpt"):
        what = key if isinstance(key, str | Path) else type(key).__name__
        raise TypeError(
            f"transitions_key must name a transition matrix in obsp, which has: {held}; got "
            f"{what}. For a model, {WRITE_TRANSITIONS}, and fates follow without it"
        )
    to = THEMSELVES if key in obsp else _candidates_of(uns.get(key))
    if to != THEMSELVES:
        raise ValueError(
            f"transitions_key: {key!r} are transitions to other cells ({to}), and X is their "
            "matrix, cells x candidates. Fates need those of cells to the same cells, in obsp: "
            "join cells and candidates in one file, and run geneformer-t transitions on it without "
            "candidates (or gft.tl.transitions(adata, model))"
        )
    if key not in obsp:
        raise KeyError(
            f"transitions_key: obsp has no {key!r}; it has: {held}. Transitions are made by a "
            f"model: {WRITE_TRANSITIONS}"
        )
    return obsp[key]


def _candidates_of(how: Any) -> str:
    """Where transitions lead, as what is known about them says."""
    params = how.get("params", {}) if isinstance(how, Mapping) else {}
    return str(params.get("candidates", THEMSELVES))


def make_chain(matrix: Any, obs: pd.DataFrame, key: str, cluster_key: str | None) -> Chain:
    """Check a matrix and find its structure, before anything that takes long.

    Raises:
        KeyError: No such column of obs.
        ValueError: It is no transition matrix.
    """
    labels = None if cluster_key is None else obs_column(obs, cluster_key, "cluster_key")
    transitions = checked_transitions(matrix, obs.index.to_numpy(), f"obsp[{key!r}]")
    structure = chain_structure(transitions)
    return Chain(transitions=transitions, structure=structure, obs=obs, labels=labels)


def choose_states(
    chain: Chain, choice: Choice, terminal: Terminal | None, settings: TerminalSettings
) -> TerminalStates:
    """Terminal states in one of the three ways.

    Raises:
        KeyError: No such column, or no such cluster.
        ValueError: What is needed for this choice was not given, or it gives no two states.
    """
    return _chosen(chain, choice, terminal, settings).with_storable_names()


def choice_of(terminal: Terminal | None, settings: TerminalSettings) -> Choice:
    """The choice that what was given means.

    Raises:
        TypeError: Terminal is neither names nor a mapping, such as a model.
    """
    if terminal is None:
        return "found" if settings.time_key is None else "last time"
    is_text = isinstance(terminal, str) and not terminal.endswith(".ckpt")
    if not (is_text or isinstance(terminal, (Mapping, *_NAMES))):
        what = terminal if isinstance(terminal, str | Path) else type(terminal).__name__
        raise TypeError(
            f"terminal must be names of clusters, or fates with their clusters; got {what}. For a "
            f"model, {WRITE_TRANSITIONS} to obsp, and fates follow without it"
        )
    return "clusters"


def find_fates(
    chain: Chain,
    states: TerminalStates,
    progress: Callable[[int], object] = lambda _: None,
) -> Fates:
    """Fates for these terminal states; the log says first what the chain is like."""
    for sentence in (*chain.structure.sentences(chain.label_texts), str(states)):
        logger.info("%s", sentence)
    return fate_probabilities(
        chain.transitions, chain.structure, states, chain.label_texts, progress=progress
    )


def made_by(how: Any) -> str:
    """The fingerprint of the model that transitions are by, as `uns` says; empty if it does not."""
    return str(how["model"]) if isinstance(how, Mapping) and "model" in how else ""


def summary(
    fates: Fates, chain: Chain, params: Mapping[str, Any], model: str = ""
) -> dict[str, Any]:
    """How fates were made and what was met, as AnnData can write it to `uns`.

    Args:
        fates: What was found.
        chain: From which transitions.
        params: What was asked for.
        model: Fingerprint of the model that the transitions are by, where it is known.
    """
    return {
        "model": model,
        "names": np.array(fates.names, dtype=object),
        "terminal_cells": fates.states.sizes,
        "terminal_states": fates.states.how,
        "structure": np.array(chain.structure.sentences(chain.label_texts), dtype=object),
        "notes": np.array(fates.notes, dtype=object),
        "cells_without_fate": int(np.isnan(fates.steps).sum()),
        "solver": fates.solution.method,
        "largest_error": fates.solution.error,
        "iterations": fates.solution.iterations,
        "params": {name: _storable(value) for name, value in params.items() if value is not None},
    }


def _storable(value: Any) -> Any:
    """A setting as an .h5ad can hold it, which has no tuples."""
    return np.array(value, dtype=object) if isinstance(value, tuple) else value


def columns_of_obs(fates: Fates) -> dict[str, Any]:
    """What is written to `obs`, by name."""
    return {
        "fate_entropy": fates.entropy,
        STEPS: fates.steps,
        "fate_reached": fates.reached,
        TERMINAL: fates.states.categories(),
    }


def fate_table(fates: Fates, obs_names: pd.Index) -> pd.DataFrame:
    """What is written to `obsm`: fate probabilities with names."""
    return pd.DataFrame(fates.probabilities, index=obs_names, columns=list(fates.names))


def _chosen(
    chain: Chain, choice: Choice, terminal: Terminal | None, settings: TerminalSettings
) -> TerminalStates:
    if choice == "found":
        return found_states(
            chain.transitions, chain.structure, chain.labels,
            min_cells=settings.min_cells, horizon=float(settings.horizon),
        )  # fmt: skip
    if choice == "last time":
        times = _times(chain, settings)
        states = last_time_states(times, chain.labels, settings.min_cells)
        return _noting_unknown(states, times, settings)
    if terminal is None:
        raise ValueError("terminal must name clusters; got none")
    labels = obs_column(chain.obs, settings.cluster_key, "cluster_key")
    if settings.time_key is None:
        return cluster_states(labels, terminal, str(settings.cluster_key))
    times = _times(chain, settings)
    states = cluster_states(labels, terminal, str(settings.cluster_key), last_cells(times))
    return _noting_unknown(states, times, settings)


def _noting_unknown(
    states: TerminalStates, times: Float[ndarray, " cell"], settings: TerminalSettings
) -> TerminalStates:
    """With a note on cells whose time is not known, none of which is of the last time point."""
    unknown = int(np.isnan(times).sum())
    if not unknown:
        return states
    note = (
        f"{unknown:,} of {len(times):,} cells have no time in obs[{settings.time_key!r}] and are "
        "not terminal"
    )
    return replace(states, notes=(*states.notes, note))


def _times(chain: Chain, settings: TerminalSettings) -> Float[ndarray, " cell"]:
    column = obs_column(chain.obs, settings.time_key, "time_key")
    return time_values(column, settings.time_order)
