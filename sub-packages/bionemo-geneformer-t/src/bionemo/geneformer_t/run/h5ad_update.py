"""A copy of an .h5ad with some entries added or replaced, written block by block.

Everything else is copied as it is stored, so that no matrix is ever held in memory. The copy
appears whole or not at all.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from anndata.io import write_elem

from bionemo.geneformer_t.data.hdf5 import open_hdf5

_DICT = {"encoding-type": "dict", "encoding-version": "0.1.0"}
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}


@contextmanager
def updated_copy(
    source: Path, target: Path, replaced: Mapping[str, tuple[str, ...]]
) -> Iterator[h5py.File]:
    """A file to write to, which takes the place of `target` when the context ends without error.

    Args:
        source: The .h5ad to copy.
        target: Where the copy goes; may be `source` itself.
        replaced: Groups, such as `obsm`, and the entries of them that are not copied.

    Raises:
        OSError: The target cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{target.name}.partial-", dir=target.parent
    ) as workshop:
        written = Path(workshop) / target.name
        with open_hdf5(source) as old, h5py.File(written, "w") as new:
            _copy(old, new, replaced)
            yield new
        written.replace(target)


def add_array(file: h5py.File, group: str, key: str, shape: tuple[int, int]) -> h5py.Dataset:
    """An empty array of 32-bit floats under a group, to be filled by blocks of rows."""
    array = file[group].create_dataset(key, shape=shape, dtype="float32")
    array.attrs.update(_ARRAY)
    return array


def add_value(file: h5py.File, group: str, key: str, value: Any) -> None:
    """Any value that AnnData can write, under a group."""
    write_elem(file[group], key, value)


def _copy(old: h5py.File, new: h5py.File, replaced: Mapping[str, tuple[str, ...]]) -> None:
    new.attrs.update(old.attrs)
    for name in old:
        if name not in replaced:
            old.copy(name, new)
    for name, left_out in replaced.items():
        group = new.create_group(name)
        group.attrs.update(old[name].attrs if name in old else _DICT)
        for key in old.get(name, {}):
            if key not in left_out:
                old[name].copy(key, group)
