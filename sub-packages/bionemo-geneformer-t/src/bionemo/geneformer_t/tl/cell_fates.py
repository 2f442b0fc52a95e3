"""`gft.tl.fates`: where each cell goes, by the transitions of a model or of any other chain."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bionemo.geneformer_t.counts.in_memory import copied, require_place_for_results
from bionemo.geneformer_t.fates.compare_choices import compare_choices
from bionemo.geneformer_t.fates.fate_probabilities import Fates
from bionemo.geneformer_t.fates.find_fates import (
    Chain,
    Choice,
    choice_of,
    choose_states,
    columns_of_obs,
    fate_table,
    find_fates,
    made_by,
    make_chain,
    stored_transitions,
    summary,
)
from bionemo.geneformer_t.fates.terminal_settings import BY_CHOICE, FATES, TerminalSettings
from bionemo.geneformer_t.fates.terminal_states import Terminal, TerminalStates
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.progress import Progress

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)


def fates(
    adata: "anndata.AnnData",
    terminal: Terminal | None = None,
    *,
    transitions_key: str = KEY,
    cluster_key: str | None = None,
    time_key: str | None = None,
    time_order: Sequence[str] | None = None,
    min_cells: int = TerminalSettings.min_cells,
    horizon: float = TerminalSettings.horizon,
    copy: bool = False,
) -> "anndata.AnnData | None":
    """Compute the probability of each fate for every cell, and the expected number of steps.

    A fate is a terminal state, and its probability that of being absorbed there. Terminal are

    * the cells of the clusters named in `terminal`, those of the last time point alone if
      `time_key` is given;
    * without `terminal`, but with `time_key`: the clusters of the last time point;
    * with neither: the closed classes of the chain or, where it does not close, the clusters that
      gain cells and keep their own (`fates/found_states.py`).

    `gft.tl.compare_fates` says how much the answer depends on this choice.

    Args:
        adata: Cells with transition probabilities in obsp, in memory or backed by a file.
        terminal: Names of clusters; or fates, each with its clusters:
            `{"endocrine": ["Alpha", "Beta"], "Ductal": "Ductal"}`.
        transitions_key: The transition matrix in obsp: cells x cells, current cells in rows, which
            sum to 1. That of `gft.tl.transitions` by default; any other will do.
        cluster_key: Column of obs with clusters or cell types.
        time_key: Column of obs with time points.
        time_order: Its labels from early to late, where they are no numbers.
        min_cells: Fewest cells of a terminal state that is not named.
        horizon: Expected number of steps over which clusters are watched to be found.
        copy: Return a copy and leave `adata` as it is.

    Returns:
        None, or the copy. Written are

        * `obsm["fates"]`: a table with a column for each fate, whose rows sum to 1; NaN for cells
          that reach no terminal state, which the log counts. For cells that may end elsewhere the
          probabilities are those of the paths that do end in a terminal state;
        * `obs["fate_entropy"]`: entropy of these probabilities, nats;
        * `obs["fate_steps"]`: expected number of steps to a terminal state, 0 in one;
        * `obs["fate_reached"]`: probability of ever reaching one;
        * `obs["terminal_state"]`: the fate of terminal cells, missing for all others;
        * `uns["fates"]`: parameters, the fingerprint of the model that the transitions are by
          where they say it, the chain's structure and what was met in sentences, and a bound on
          the error of the probabilities.

    Raises:
        TypeError: A model was given in place of names or a key, or `adata` is no AnnData object.
        KeyError: No such matrix, column or cluster; lists those that exist.
        ValueError: The matrix is no transition matrix, there are fewer than two terminal states, no
            path leads to any, or the solver does not converge.

    Example:
        >>> gft.tl.fates(adata, ["B", "A1", "A2"], cluster_key="cell_type")
        >>> adata.obsm["fates"].groupby(adata.obs["cell_type"], observed=True).mean()
    """
    settings = _settings(cluster_key, time_key, time_order, min_cells, horizon)
    choice = choice_of(terminal, settings)
    cells = copied(adata) if copy else adata
    chain = _chain(cells, transitions_key, settings)
    states = choose_states(chain, choice, terminal, settings)
    found = _solved(chain, states)
    params = {**vars(settings), "transitions_key": transitions_key, "choice": choice}
    cells.obsm[FATES] = fate_table(found, cells.obs_names)
    for name, values in columns_of_obs(found).items():
        cells.obs[name] = values
    cells.uns[FATES] = summary(found, chain, params, made_by(cells.uns.get(transitions_key)))
    for note in found.notes:
        logger.warning("%s", note)
    return cells if copy else None


def compare_fates(
    adata: "anndata.AnnData",
    terminal: Terminal | None = None,
    *,
    transitions_key: str = KEY,
    cluster_key: str | None = None,
    time_key: str | None = None,
    time_order: Sequence[str] | None = None,
    min_cells: int = TerminalSettings.min_cells,
    horizon: float = TerminalSettings.horizon,
) -> pd.DataFrame:
    """How fates change with the choice of terminal states: named, of the last time, and found.

    Args:
        adata: As for `fates`.
        terminal: Clusters for the choice `clusters`, which is left out without them.
        transitions_key: As for `fates`.
        cluster_key: As for `fates`.
        time_key: Column of obs with time points, for the choice `last time`; left out without it.
        time_order: As for `fates`.
        min_cells: As for `fates`.
        horizon: As for `fates`.

    Returns:
        A row for each pair of choices and fate, as `fates/compare_choices.py` says; also in
        `uns["fates_by_choice"]`. The log names choices that give no fates, and why.

    Raises:
        TypeError: As for `fates`.
        KeyError: As for `fates`.
        ValueError: The matrix is no transition matrix, or fewer than two choices give fates.

    Example:
        >>> gft.tl.compare_fates(
        ...     adata, ["B", "A1", "A2"], cluster_key="cell_type", time_key="day"
        ... )
    """
    settings = _settings(cluster_key, time_key, time_order, min_cells, horizon)
    choice_of(terminal, settings)
    chain = _chain(adata, transitions_key, settings)
    named = _settings(cluster_key, None, None, min_cells, horizon)
    wanted: dict[Choice, TerminalSettings] = {"found": settings}
    if time_key is not None:
        wanted = {"last time": settings, **wanted}
    if terminal is not None:
        wanted = {"clusters": named, **wanted}
    found: dict[str, Fates] = {}
    why = []
    for choice, of_choice in wanted.items():
        try:
            states = choose_states(chain, choice, terminal, of_choice)
            found[choice] = _solved(chain, states)
        except ValueError as error:
            why.append(f"{choice}: {error}")
    if len(found) < 2:
        raise ValueError(
            f"two or more choices of terminal states can be compared; {len(found)} of "
            f"{len(wanted)} give fates. {' '.join(why)}".rstrip()
            + (" Give terminal or time_key" if len(wanted) < 2 else "")
        )
    for reason in why:
        logger.warning("no fates by the choice %s", reason)
    table = compare_choices(found)
    table.index = table.index.astype(str)  # as .h5ad holds it
    adata.uns[BY_CHOICE] = table
    return table


def _settings(
    cluster_key: str | None,
    time_key: str | None,
    time_order: Sequence[str] | None,
    min_cells: int,
    horizon: float,
) -> TerminalSettings:
    return TerminalSettings(
        cluster_key=cluster_key,
        time_key=time_key,
        time_order=None if time_order is None else tuple(time_order),
        min_cells=min_cells,
        horizon=horizon,
    )


def _chain(cells: "anndata.AnnData", key: str, settings: TerminalSettings) -> Chain:
    require_place_for_results(cells)
    matrix = stored_transitions(cells.obsp, key, cells.uns)
    return make_chain(matrix, cells.obs, key, settings.cluster_key)


def _solved(chain: Chain, states: TerminalStates) -> Fates:
    with Progress("fates", len(states.names) + 1, "fate") as bar:
        return find_fates(chain, states, bar.update)
