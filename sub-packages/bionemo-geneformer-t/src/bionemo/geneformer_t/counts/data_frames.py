"""Reads `obs` and `var` of .h5ad files and .zarr folders, by whatever program.

A data frame has been stored in five ways:

* since anndata 0.8 as a group of columns, each of which says how it is encoded;
* by anndata 0.7 as a group of arrays, where the array of a categorical column holds codes and its
  attribute `categories` leads to the levels, in the group `__categories`;
* by SeuratDisk in the same way, but without that attribute;
* by anndata 0.6 and before as one array of records, where the levels of a categorical column `day`
  are in `uns["day_categories"]`;
* by others as a group of arrays that does not say that it is a data frame.

Codes are never returned as if they were values: they become their levels, or are refused.
"""

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata._io.specs.registry import IORegistryError  # has no public name
from anndata.io import read_elem
from jaxtyping import Shaped
from numpy import ndarray

from bionemo.geneformer_t.counts.hdf5 import check_dataset

LEVELS = "__categories"
_INDEX_NAMES = ("_index", "index")
_WAY_OUT = "read the file and write it again with a current anndata"


def read_frame(store: Any, name: str, where: str) -> pd.DataFrame:
    """A data frame with text as index, which has no name of its own.

    A name of the index says nothing that the program needs, and where a column has the same name,
    anndata writes no file.

    Args:
        store: An HDF5 file or a zarr group, or its group `raw`.
        name: `obs` or `var`.
        where: What to call the store in messages.

    Raises:
        ValueError: There is no such frame, it names no index, or a column cannot be understood.
    """
    frame = _find(store, name, where)
    index = pd.Index(read_index(store, name, where), dtype=object)
    columns = {column: _column(store, frame, name, column, where) for column in _columns(frame)}
    for column, values in columns.items():
        if len(values) != len(index):
            raise ValueError(
                f"{where}: column {column!r} of {name} has {len(values):,} values, its index "
                f"{len(index):,}; {_WAY_OUT}"
            )
    return pd.DataFrame(columns, index=index, copy=False)


def read_index_name(store: Any, name: str) -> str | None:
    """The name of the index of a data frame, where it has one of its own."""
    frame = store.get(name)
    key = None if frame is None or _fields(frame) else _index_key(frame)
    return None if key in _INDEX_NAMES else key


def read_index(store: Any, name: str, where: str) -> tuple[str, ...]:
    """The index of a data frame alone, as text.

    Raises:
        ValueError: There is no such frame, or it names no index.
    """
    frame = _find(store, name, where)
    key = _index_key(frame)
    if key is None:
        raise ValueError(f"{where}: {name} names no index; {_WAY_OUT}")
    return tuple(map(str, pd.Series(_column(store, frame, name, key, where)).astype(str)))


def _find(store: Any, name: str, where: str) -> Any:
    if name not in store:
        raise ValueError(f"{where} holds no {name}")
    frame = store[name]
    if not (_is_group(frame) or _fields(frame)):
        raise ValueError(f"{where}: {name} is no table; {_WAY_OUT}")
    return frame


def _index_key(frame: Any) -> str | None:
    """The name of the column that is the index."""
    fields = _fields(frame)
    if fields:  # an array of records, whose index came first
        return next((key for key in _INDEX_NAMES if key in fields), fields[0])
    key = frame.attrs.get("_index")
    if key is not None:
        return _text(key) if _text(key) in frame else None
    return next((key for key in _INDEX_NAMES if key in frame), None)


def _columns(frame: Any) -> list[str]:
    """The names of the columns, in their order where one is stored."""
    index, fields = _index_key(frame), _fields(frame)
    stored = None if fields else frame.attrs.get("column-order")
    if stored is None:
        there = fields or tuple(key for key in frame if key != LEVELS)
    else:
        there = () if isinstance(stored, h5py.Empty) else tuple(map(_text, stored))
    return [key for key in there if key != index]


def _column(store: Any, frame: Any, name: str, key: str, where: str) -> Any:
    """One column: text, numbers, or a categorical with its levels."""
    place = f"{where}: column {key!r} of {name}"
    if _fields(frame):
        values = native(frame.fields(key)[:] if isinstance(frame, h5py.Dataset) else frame[:][key])
        return _leveled(values, _levels_in_uns(store, key, values), place)
    if key not in frame:
        raise ValueError(f"{place} is announced and not there; {_WAY_OUT}")
    element = frame[key]
    levels, ordered = _levels(frame, key, element, where)
    if levels is not None:
        return _categorical(native(element[:]), levels, place, ordered=ordered)
    if "encoding-type" in element.attrs:
        values = _decoded(element, place)
        if getattr(values, "ndim", 0) != 1:
            raise ValueError(f"{place} holds no single value for each row; {_WAY_OUT}")
        return values
    if _is_group(element):
        return _unnamed_group(element, place)
    if len(element.shape) != 1 or _fields(element):
        raise ValueError(f"{place} holds no single value for each row; {_WAY_OUT}")
    values = _array(element, place)
    return _leveled(values, _levels_in_uns(store, key, values), place)


def _levels(
    frame: Any, key: str, element: Any, where: str
) -> tuple[Shaped[ndarray, " level"] | None, bool]:
    """The levels of a column of codes that are stored elsewhere, and whether they are ordered."""
    source = None
    reference = element.attrs.get("categories")
    if isinstance(reference, h5py.Reference):
        if not reference:
            raise ValueError(f"{where}: the levels of {key!r} are lost; {_WAY_OUT}")
        source = frame.file[reference]
        # It may be one that no name leads to, and so not checked yet.
        label = str(source.name or f"the levels of {key!r}")
        check_dataset(source.id, label, Path(frame.file.filename))
    elif reference is not None:
        source = frame.get(_text(reference))
        if source is None:
            raise ValueError(
                f"{where}: column {key!r} holds codes, and their levels {_text(reference)!r} are "
                f"not there; {_WAY_OUT}"
            )
    elif LEVELS in frame and key in frame[LEVELS]:
        source = frame[LEVELS][key]
    if source is None:
        return None, False
    return _array(source, f"{where}: the levels of {key!r}"), bool(
        source.attrs.get("ordered", False)
    )


def _levels_in_uns(
    store: Any, key: str, codes: Shaped[ndarray, " row"]
) -> Shaped[ndarray, " level"] | None:
    """The levels that anndata 0.6 stored in `uns`, where these can be codes of them."""
    uns = store.get("uns", {})
    if np.asarray(codes).dtype.kind not in "iu" or f"{key}_categories" not in uns:
        return None
    name = f"{key}_categories"
    return np.atleast_1d(_array(uns[name], f"uns[{name!r}]"))


def _leveled(values: Any, levels: Shaped[ndarray, " level"] | None, place: str) -> Any:
    return values if levels is None else _categorical(values, levels, place)


def _categorical(given: Any, names: Any, place: str, *, ordered: bool = False) -> pd.Categorical:
    codes, levels = np.asarray(given), pd.Index(np.asarray(names))
    if codes.dtype.kind not in "iu" or codes.min(initial=0) < -1 or (codes >= len(levels)).any():
        raise ValueError(
            f"{place} holds codes of {len(levels):,} levels ({', '.join(map(str, levels[:5]))}), "
            f"and its codes are {codes.min(initial=0)} to {codes.max(initial=0)}; {_WAY_OUT}"
        )
    if not levels.is_unique:
        raise ValueError(f"{place} has two levels of one name; {_WAY_OUT}")
    return pd.Categorical.from_codes(codes.astype(np.int64), levels, ordered=ordered)


def _unnamed_group(element: Any, place: str) -> Any:
    """A column that is a group and does not say what it is."""
    if "codes" in element and "categories" in element:
        ordered = bool(element.attrs.get("ordered", False))
        levels = _array(element["categories"], place)
        return _categorical(native(element["codes"][:]), levels, place, ordered=ordered)
    if "values" in element and "mask" in element:
        values, missing = _array(element["values"], place), element["mask"][:].astype(bool)
        return pd.Series(values).convert_dtypes().mask(missing).array
    held = ", ".join(element) or "nothing"
    raise ValueError(f"{place} is a group of {held}, which is no column; {_WAY_OUT}")


def _array(element: Any, place: str) -> Any:
    """Text or numbers; levels may be an encoded element of their own."""
    if "encoding-type" in element.attrs:
        return _decoded(element, place)
    if isinstance(element, h5py.Dataset) and h5py.check_string_dtype(element.dtype) is not None:
        return element.asstr()[()]
    return native(element[()])


def _decoded(element: Any, place: str) -> Any:
    """What anndata makes of an element that says how it is encoded.

    Raises:
        ValueError: anndata does not know the encoding, or the element is not what it says.
    """
    try:
        values = read_elem(element)
    except IORegistryError as error:
        said = str(error).partition(" from ")[0]
        raise ValueError(
            f"{place} has an encoding that the installed anndata "
            f"({importlib.metadata.version('anndata')}) does not know ({said}): install a newer "
            "one, or take the column out where the file was written"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        text = error.args[0] if error.args else type(error).__name__
        raise ValueError(f"{place} is damaged ({text}); {_WAY_OUT}") from error
    return native(values) if isinstance(values, ndarray) else values


def native(values: Shaped[ndarray, "..."]) -> Shaped[ndarray, "..."]:
    """Values in types that SciPy and pandas can work with, none of them changed.

    Numbers in the byte order of other machines, 16-bit floats, and bytes that are text. Numbers of
    an HDF5 enumeration, as which R writes factors, are codes and become their names.
    """
    values = np.asarray(values)
    names = h5py.check_enum_dtype(values.dtype)
    if names is not None and values.dtype.kind != "b":
        return _named(values, names)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O" and values.size and isinstance(values.flat[0], bytes):
        return np.array([_text(value) for value in values.flat], dtype=object).reshape(values.shape)
    if values.dtype.kind == "T":  # NumPy's own text, in which zarr returns it
        return values.astype(object)
    if values.dtype.kind not in "biufc":
        return values
    dtype = values.dtype.newbyteorder("=")
    return values.astype(np.float32 if dtype == np.float16 else dtype, copy=False)


def native_matrix(matrix: Any, convert: Callable[[ndarray], ndarray] = native) -> sp.csr_array:
    """A matrix by rows, in types that SciPy can work with.

    Args:
        matrix: Dense or sparse, of whatever type.
        convert: Brings its values into such a type.
    """
    if not sp.issparse(matrix):
        return sp.csr_array(convert(np.asarray(matrix)))
    if matrix.format not in {"csr", "csc"}:
        whole = matrix.tocoo()
        return sp.csr_array(sp.coo_array((convert(whole.data), whole.coords), shape=matrix.shape))
    made = sp.csr_array if matrix.format == "csr" else sp.csc_array
    parts = (convert(matrix.data), native(matrix.indices), native(matrix.indptr))
    return sp.csr_array(made(parts, shape=matrix.shape))


def _named(codes: Shaped[ndarray, "..."], names: Mapping[str, int]) -> Shaped[ndarray, "..."]:
    """The names of an enumeration for its numbers."""
    name_of = {int(code): name for name, code in names.items()}
    unknown = sorted({int(code) for code in codes.flat} - set(name_of))
    if unknown:
        raise ValueError(
            f"an HDF5 enumeration names {', '.join(names)} and holds other numbers: {unknown[0]}"
        )
    return np.array([name_of[int(c)] for c in codes.flat], dtype=object).reshape(codes.shape)


def _is_group(element: Any) -> bool:
    return isinstance(element, Mapping) or hasattr(element, "keys")


def _fields(element: Any) -> tuple[str, ...]:
    """The fields of an array of records; none for anything else."""
    dtype = getattr(element, "dtype", None)
    return tuple(getattr(dtype, "names", None) or ())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
