"""Columns of `obs` and arrays of `obsm`: found by name, or refused with the names that exist."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from jaxtyping import Shaped
from numpy import ndarray

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def obs_column(
    obs: "pd.DataFrame", key: str | None, setting: str, owner: str = ""
) -> "pd.Series[Any]":
    """The column of obs that a setting names.

    Args:
        obs: One row for each cell.
        key: Name of the column.
        setting: What the user calls the setting.
        owner: Whose obs it is, for the message.

    Raises:
        ValueError: The setting is empty.
        KeyError: There is no such column; lists those that exist.
    """
    held = ", ".join(map(str, obs.columns)) or "none"
    if key is None:
        raise ValueError(f"{setting} must name a column of obs; it has: {held}")
    if key not in obs:
        of = f" of {owner}" if owner else ""
        raise KeyError(f"{setting}: obs{of} has no column {key!r}; it has: {held}")
    return obs[key]


def obs_labels(obs: "pd.DataFrame", key: str | None, setting: str) -> Shaped[ndarray, " cell"]:
    """Such a column as text; every cell must have a label.

    Raises:
        ValueError: The setting is empty, or cells have no label.
        KeyError: There is no such column.
    """
    column = obs_column(obs, key, setting)
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"{setting}: {missing} of {len(column)} cells have no label in obs[{key!r}]; "
            "label them or leave them out"
        )
    return column.astype(str).to_numpy(dtype=str)


def obsm_array(obsm: Mapping[str, T], use_rep: str, owner: str = "") -> T:
    """The array of obsm that `use_rep` names.

    Raises:
        KeyError: There is no such array; lists those that exist.
    """
    if use_rep not in obsm:
        of = f" of {owner}" if owner else ""
        raise KeyError(
            f"use_rep: obsm{of} has no array {use_rep!r}; it has: {', '.join(obsm) or 'none'}"
        )
    return obsm[use_rep]
