"""Data frames as an .h5ad can hold them, whatever pandas keeps in their columns.

anndata writes numbers, truth values, text, and categories of these. Dates, intervals, objects of
several types and most types of Arrow stop it, also in columns that nobody asks for.
"""

from typing import Any

import numpy as np
import pandas as pd

_NUMBERS = "biuf"


def storable_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows and columns in types that can be written; what is no number becomes text.

    Args:
        frame: `obs` or `var`. Of columns that share a name as text, the first is kept, and the
            index loses its own name, which a column may have too.
    """
    columns: dict[str, Any] = {}
    for place, name in enumerate(frame.columns):
        columns.setdefault(str(name), _storable(frame.iloc[:, place]))
    return pd.DataFrame(columns, index=frame.index.astype(str).rename(None), copy=False)


def _storable(column: "pd.Series[Any]") -> Any:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return column.array if _are_storable(dtype.categories) else _as_text(column)
    if isinstance(dtype, np.dtype) and dtype.kind in _NUMBERS:
        return column.array
    if pd.api.types.is_bool_dtype(dtype) and not isinstance(dtype, np.dtype):
        return column.astype("boolean").array
    if pd.api.types.is_integer_dtype(dtype):
        return column.astype("Int64").array
    if pd.api.types.is_float_dtype(dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    texts = _texts(column)
    return texts.where(texts.notna(), None).to_numpy(dtype=object)


def _as_text(column: "pd.Series[Any]") -> "pd.Categorical[str]":
    """A categorical whose categories are text, in their order."""
    names = list(dict.fromkeys(map(str, column.cat.categories)))
    return pd.Categorical(_texts(column), categories=names, ordered=bool(column.cat.ordered))


def _texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.astype(object).map(str, na_action="ignore").astype(object)


def _are_storable(categories: "pd.Index[Any]") -> bool:
    if isinstance(categories.dtype, np.dtype) and categories.dtype.kind in _NUMBERS:
        return True
    return categories.dtype == object and all(isinstance(name, str) for name in categories)
