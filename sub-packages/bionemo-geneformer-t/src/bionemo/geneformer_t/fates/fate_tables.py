"""Tables of fate probabilities, cells x fates, as `gft.tl.fates` or anyone else writes them."""

from typing import Any

import numpy as np
import pandas as pd

TOLERANCE = 1e-6
"""How far a probability may be from 0 to 1."""


def checked_fates(fates: Any, where: str = "fates") -> pd.DataFrame:
    """The same table in 64 bits, with text as names of columns.

    Args:
        fates: Probabilities, cells x fates; NaN where a cell has none.
        where: What to call the table in messages.

    Raises:
        TypeError: It is no table.
        ValueError: Fates share a name, a column holds no numbers, or a number is no probability.
    """
    if not isinstance(fates, pd.DataFrame):
        raise TypeError(
            f"{where} must be a DataFrame with a column for each fate, as gft.tl.fates writes it; "
            f"got {type(fates).__name__}. pandas.DataFrame(fates, index=adata.obs_names, "
            "columns=NAMES) makes one"
        )
    fates, names = fates.infer_objects(), fates.columns.astype(str)
    if not names.is_unique:
        twice = ", ".join(map(repr, names[names.duplicated()].unique()))
        raise ValueError(
            f"{where}: each fate must have a name of its own; several are called {twice}"
        )
    other = [name for name, kind in zip(names, fates.dtypes, strict=True) if not _is_number(kind)]
    if other:
        raise ValueError(
            f"{where} must hold numbers, the probability of each fate; other values are in the "
            f"columns {', '.join(map(repr, other))}"
        )
    values = fates.to_numpy(dtype=np.float64)
    if ((values < -TOLERANCE) | (values > 1 + TOLERANCE)).any():
        raise ValueError(
            f"{where} must hold probabilities, between 0 and 1; got values from "
            f"{np.nanmin(values):g} to {np.nanmax(values):g}"
        )
    return pd.DataFrame(values, index=fates.index, columns=names)


def _is_number(kind: Any) -> bool:
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind)
