"""What `obs` knows about the cells that are evaluated: their times, clusters and donors.

Columns are taken by name where they are given; otherwise the first with a usual name is, and the
evaluation says which.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bionemo.geneformer_t.evaluate.scores.cell_scores import CellFacts

if TYPE_CHECKING:
    from pathlib import Path

    from bionemo.geneformer_t.data.stored_graphs import SplitInput

TIME_KEYS = ("pseudotime", "dpt_pseudotime", "ptime", "day", "time", "week", "stage")
DONOR_KEYS = (
    "donor", "donor_id", "individual", "patient", "sample", "sample_id", "batch", "replicate",
)  # fmt: skip
CLUSTER_KEYS = ("cell_type", "celltype", "clusters", "cluster", "branch", "leiden", "louvain")


def evaluation_facts(
    folders: "Mapping[str, Path]",
    time_key: str | None,
    cluster_key: str | None,
    donor_key: str | None = None,
    recorded: "Mapping[str, Any]" = MappingProxyType({}),
) -> tuple[dict[str, CellFacts], str]:
    """Times, clusters and donors of each split, and a sentence on where they come from.

    Args:
        folders: The splits by name.
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

    splits = {name: read_split(folder) for name, folder in folders.items()}
    times, time_name = _times(splits, time_key, recorded)
    cluster_keys = (*_recorded(recorded, "cluster_key"), *CLUSTER_KEYS)
    clusters, cluster_name = _labels(splits, cluster_key, cluster_keys, "cluster_key")
    donor_keys = (*_recorded(recorded, "batch_key"), *DONOR_KEYS)
    donors, donor_name = _labels(splits, donor_key, donor_keys, "donor_key")
    facts = {
        name: CellFacts(times=times.get(name), clusters=clusters.get(name), donors=donors.get(name))
        for name in splits
    }
    return facts, (
        f"Times: {time_name or 'none (give time_key)'}. "
        f"Clusters: {cluster_name or 'none (give cluster_key)'}. "
        f"Donors: {donor_name or 'none (give donor_key)'}."
    )


def _times(
    splits: "Mapping[str, SplitInput]", given: str | None, recorded: "Mapping[str, Any]"
) -> tuple[dict[str, np.ndarray], str]:
    from bionemo.geneformer_t.data.stored_graphs import read_times

    own = _recorded(recorded, "time_key")
    order = {key: recorded.get("time_order") for key in own}
    if given is not None:
        return read_times(splits, given, order.get(given)), f"obs[{given!r}]"
    for key in _common(splits, (*own, *TIME_KEYS)):
        try:
            return read_times(splits, key, order.get(key)), f"obs[{key!r}]"
        except ValueError:  # labels such as `N1` are no times: the next name may be
            continue
    return {}, ""


def _labels(
    splits: "Mapping[str, SplitInput]", given: str | None, usual: tuple[str, ...], setting: str
) -> tuple[dict[str, np.ndarray], str]:
    if given is not None:
        for split in splits.values():
            if given not in split.obs:
                raise KeyError(
                    f"{setting}: obs of {split.folder} has no column {given!r}; it has: "
                    f"{', '.join(map(str, split.obs.columns)) or 'none'}"
                )
    keys = [given] if given is not None else _common(splits, usual)
    if not keys:
        return {}, ""
    labels = {name: split.obs[keys[0]].astype(str).to_numpy() for name, split in splits.items()}
    return labels, f"obs[{keys[0]!r}]"


def _recorded(recorded: "Mapping[str, Any]", name: str) -> tuple[str, ...]:
    return (recorded[name],) if recorded.get(name) is not None else ()


def _common(splits: "Mapping[str, SplitInput]", names: tuple[str, ...]) -> list[str]:
    return [name for name in names if all(name in split.obs for split in splits.values())]
