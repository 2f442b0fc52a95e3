"""What `obs` knows about the cells that are evaluated: their times, clusters and donors.

Columns are taken by name where they are given; otherwise the first with a usual name is, and the
evaluation says which.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts, cell_facts
from bionemo.geneformer_t.obs_columns import obs_column

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.stored_graphs import SplitInput

TIME_KEYS = ("pseudotime", "dpt_pseudotime", "ptime", "day", "time", "week", "stage")
DONOR_KEYS = (
    "donor", "donor_id", "individual", "patient", "sample", "sample_id", "batch", "replicate",
)  # fmt: skip
CLUSTER_KEYS = ("cell_type", "celltype", "clusters", "cluster", "branch", "leiden", "louvain")


def evaluation_facts(
    stores: "Mapping[str, CellStore]",
    time_key: str | None,
    cluster_key: str | None,
    donor_key: str | None = None,
    recorded: "Mapping[str, Any]" = MappingProxyType({}),
) -> tuple[dict[str, CellFacts], str]:
    """Times, clusters and donors of each split, and a sentence on where they come from.

    Args:
        stores: The cells of the splits by name.
        time_key: Column of obs; by default the recorded one, else the first of `TIME_KEYS` that
            every split has and that reads as times.
        cluster_key: Column of obs; by default the recorded one, else of `CLUSTER_KEYS`.
        donor_key: Column of obs; by default the recorded `batch_key`, else of `DONOR_KEYS`.
        recorded: What the command that made the graph knew of columns (see `recorded_options`).

    Raises:
        KeyError: A split lacks a column that was named.
        ValueError: The times that were named cannot be read.
    """
    from bionemo.geneformer_t.data.stored_graphs import read_split

    splits = {name: read_split(store) for name, store in stores.items()}
    times, time_key = split_times(splits, time_key, recorded)
    cluster = _label_key(splits, cluster_key, recorded.get("cluster_key"), CLUSTER_KEYS, "cluster")
    donor = _label_key(splits, donor_key, recorded.get("batch_key"), DONOR_KEYS, "donor")
    facts = {
        name: cell_facts(split.obs, time=times.get(name), cluster_key=cluster, batch_key=donor)
        for name, split in splits.items()
    }
    found = {"time": time_key, "cluster": cluster, "donor": donor}
    return facts, " ".join(
        f"{what.capitalize()}s: {f'none (give {what}_key)' if key is None else f'obs[{key!r}]'}."
        for what, key in found.items()
    )


def split_times(
    splits: "Mapping[str, SplitInput]", given: str | None, recorded: "Mapping[str, Any]"
) -> tuple[dict[str, np.ndarray], str | None]:
    """The times of the cells of each split, and their column of obs; none where none is found.

    Args:
        splits: The splits by name.
        given: The column; by default the recorded one, else the first of `TIME_KEYS` that every
            split has and that reads as times.
        recorded: As for `evaluation_facts`.

    Raises:
        KeyError: A split lacks the column that was named.
        ValueError: Its times cannot be read.
    """
    from bionemo.geneformer_t.data.stored_graphs import read_times

    own = recorded.get("time_key")
    keys = [given] if given is not None else _common(splits, own, TIME_KEYS)
    for key in keys:
        order = recorded.get("time_order") if key == own else None
        try:
            return read_times(splits, key, order), key
        except ValueError:  # labels such as `N1` are no times: the next name may be
            if given is not None:
                raise
    return {}, None


def _label_key(
    splits: "Mapping[str, SplitInput]",
    given: str | None,
    recorded: str | None,
    usual: tuple[str, ...],
    what: str,
) -> str | None:
    """The column that was named, or the first with a usual name; None where there is none."""
    if given is None:
        return next(iter(_common(splits, recorded, usual)), None)
    for split in splits.values():
        obs_column(split.obs, given, f"{what}_key", str(split.folder))
    return given


def _common(
    splits: "Mapping[str, SplitInput]", recorded: str | None, usual: tuple[str, ...]
) -> list[str]:
    names = usual if recorded is None else (recorded, *usual)
    return [name for name in names if all(name in split.obs for split in splits.values())]
