"""`gft.tl.rollout`: walks over real cells along the transitions of a model or of any chain."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.in_memory import require_place_for_results
from bionemo.geneformer_t.fates.find_fates import made_by, stored_transitions
from bionemo.geneformer_t.fates.find_rollout import Rollout, find_rollout
from bionemo.geneformer_t.fates.rollout_settings import ROLLOUT, RolloutSettings
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)


def rollout(
    adata: "anndata.AnnData",
    cluster_key: str,
    start: str | int | Sequence[str | int] | None = None,
    *,
    start_key: str | None = None,
    num_steps: int = RolloutSettings.num_steps,
    num_walks: int = RolloutSettings.num_walks,
    time_key: str | None = None,
    time_order: Sequence[str] | None = None,
    transitions_key: str = KEY,
    key_added: str = ROLLOUT,
    seed: int = RolloutSettings.seed,
) -> pd.DataFrame:
    """Walk from cell to cell by the transitions, and follow the composition of the walks' cells.

    Every cell of a walk is a real one. Sampled compositions have 95 % intervals, by a bootstrap
    over starting cells. Beside them are the exact compositions (powers of the matrix applied to the
    starting cells), which tell what is sampling noise, and three nulls, which tell what direction
    adds: equal probabilities for all candidates of a cell, transitions taken in either direction,
    and the shares of all cells. A step has no unit of time; with `time_key`, the true compositions
    of the later time points are given too, and the step whose composition is nearest to each.

    Args:
        adata: Cells with transition probabilities in obsp, in memory or backed by a file.
        cluster_key: Column of obs with the clusters or cell types that compositions are made of.
        start: One or several labels whose cells walks start from; all cells by default.
        start_key: Column of obs that `start` names labels of; `cluster_key` by default.
        num_steps: Steps of each walk.
        num_walks: Walks, which start from the starting cells in turn.
        time_key: Column of obs with time points.
        time_order: Its labels from early to late, where they are no numbers.
        transitions_key: The transition matrix in obsp: cells x cells, current cells in rows, which
            sum to 1. That of `gft.tl.transitions` by default; any other will do.
        key_added: Where to write in uns.
        seed: Seed of the walks and of the bootstrap. More walks or steps leave the first ones as
            they are.

    Returns:
        A table with one row for each source, step or time point, and cluster. Columns: `source`
        (`walks`, `exact`, `null: any candidate`, `null: either direction`, `null: all cells` or
        `time point`), `step`, `time`, `measure` (`cluster`, or `cannot be left`: the share of walks
        in cells that go to no other), `cluster`, `share` (0 to 1), and for walks `low` and `high`.
        It is also `uns["rollout"]["table"]`; beside it are

        * `walks` (walks x steps + 1) and `cells`: the cells that each walk visits, as places in
          `cells`, which holds their names;
        * `times`: for each later time point the `nearest_step` of the exact composition, and the
          total variation (0 to 1) between both;
        * `params`, `notes`, and `model`, the fingerprint of the model where it is known.

    Raises:
        TypeError: `adata` is no AnnData object, or a setting has the wrong type.
        KeyError: No such matrix, column or label; lists those that exist.
        ValueError: The matrix is no transition matrix of these cells, `num_steps` or `num_walks` is
            below 1, there are no starting cells, or time labels cannot be read.

    Example:
        >>> table = gft.tl.rollout(adata, "cell_type", num_steps=5, time_key="day")
        >>> table[table["source"] == "walks"].pivot_table("share", "step", "cluster")
    """
    settings = RolloutSettings(
        cluster_key=cluster_key,
        start=None if start is None else _labels(start),
        start_key=start_key,
        num_steps=num_steps,
        num_walks=num_walks,
        time_key=time_key,
        time_order=None if time_order is None else tuple(time_order),
        seed=seed,
    )
    found = add_rollout(adata, settings, transitions_key, key_added)
    for note in found.notes:
        logger.info("%s", note)
    return found.table


def add_rollout(
    adata: "anndata.AnnData", settings: RolloutSettings, transitions_key: str, key_added: str
) -> Rollout:
    """Write walks and compositions to `uns`, and log nothing.

    Args, errors: as `rollout`.
    """
    require_place_for_results(adata)
    require_key("key_added", key_added)
    matrix = stored_transitions(adata.obsp, transitions_key, adata.uns)
    found = find_rollout(matrix, adata.obs, transitions_key, settings)
    params = {
        name: np.array(value, dtype=object) if isinstance(value, tuple) else value
        for name, value in vars(settings).items()
        if name in RolloutSettings.__dataclass_fields__ and value is not None
    }
    adata.uns[key_added] = {
        **found.uns(adata.obs_names.astype(str)),
        "params": {**params, "transitions_key": transitions_key},
        "model": made_by(adata.uns.get(transitions_key)),
    }
    return found


def _labels(start: Any) -> tuple[str, ...]:
    one = isinstance(start, str) or not isinstance(start, Sequence | np.ndarray | pd.Index)
    return (str(start),) if one else tuple(map(str, start))
