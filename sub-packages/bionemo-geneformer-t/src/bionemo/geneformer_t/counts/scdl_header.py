"""What the header of an SCDL archive says, compared with the files beside it.

bionemo-scdl 0.1.3 writes the old header again when an archive that was opened from disk is cast or
joined: its lengths, and its types where these changed, are then those from before. Lengths are
harmless where the files agree with each other; a wrong type is not. Types of other width show in
the sizes of the files. Types of the same width show in the values: the bits of 1.0, the least count
as a float, are 15,360 or more as an unsigned integer; and small integers are subnormal floats.
"""

import logging
from pathlib import Path

import numpy as np
from bionemo.scdl.schema.header import SCDLHeader
from bionemo.scdl.schema.headerutil import HeaderSerializationError
from bionemo.scdl.util.scdl_constants import FileNames
from jaxtyping import Real
from numpy import ndarray

logger = logging.getLogger(__name__)

DEFAULT_TYPES = {
    FileNames.DATA: "float32",
    FileNames.COLPTR: "uint32",
    FileNames.ROWPTR: "uint64",
    FileNames.NEIGHBOR_INDICES: "uint32",
    FileNames.NEIGHBOR_INDICES_PTR: "uint64",
    FileNames.NEIGHBOR_VALUES: "float32",
}
"""What SCDL writes where its header does not say otherwise; it never does for neighbors."""

REOPENED = (
    "bionemo-scdl 0.1.3 leaves the old header in place where an archive is opened, then cast or "
    "joined. Write it again from its .h5ad files; or set `archive.header = None` after opening the "
    "original, before cast_data_to_dtype or concat"
)
_SAME_WIDTH = {"uint16": "float16", "uint32": "float32", "uint64": "float64"}
_SAME_WIDTH |= {floating: unsigned for unsigned, floating in _SAME_WIDTH.items()}


def read_header(folder: Path) -> SCDLHeader | None:
    """The header of an archive; None where there is none.

    Raises:
        ValueError: It is damaged.
    """
    path = folder / FileNames.HEADER.value
    if not path.is_file():
        logger.info("%s has no header; its arrays are read as SCDL's default types", folder)
        return None
    try:
        return SCDLHeader.load(str(path))
    except HeaderSerializationError as error:
        raise ValueError(f"{path} is damaged ({error}). Write the archive again") from error


def array_types(header: SCDLHeader | None) -> dict[FileNames, np.dtype]:
    """The type of each array of an archive.

    Raises:
        ValueError: The header names an array or a type that SCDL does not have.
    """
    types = {name: np.dtype(default) for name, default in DEFAULT_TYPES.items()}
    for array in [] if header is None else header.arrays:
        try:
            types[FileNames[array.name]] = np.dtype(array.dtype.numpy_dtype_string)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{FileNames.HEADER.value} names an array {array.name!r} of {array.dtype.name}; "
                "expected numbers in SCDL's own arrays. Write the archive again"
            ) from error
    return types


def check_lengths(
    folder: Path,
    header: SCDLHeader | None,
    arrays: dict[FileNames, Real[ndarray, " _"]],
) -> None:
    """Refuse an archive whose arrays, read as the header says, do not fit together.

    Raises:
        ValueError: Says what each holds, and what the header has of it.
    """
    counts, columns, row_ptr = (
        arrays[name] for name in (FileNames.DATA, FileNames.COLPTR, FileNames.ROWPTR)
    )
    told = {} if header is None else {FileNames[a.name]: a.length for a in header.arrays}
    is_stale = any(told.get(name, len(array)) != len(array) for name, array in arrays.items())
    if len(row_ptr) and row_ptr[0] == 0 and len(counts) == len(columns) == int(row_ptr[-1]):
        if is_stale:
            logger.info(
                "%s: the header has the lengths from before archives were joined; the files agree "
                "with each other, and are used", folder,
            )  # fmt: skip
        return
    ends = f"its rows end at {int(row_ptr[-1]):,}" if len(row_ptr) else "it holds no rows"
    raise ValueError(
        f"{folder} is a damaged SCDL archive: its arrays hold {len(counts):,} values and "
        f"{len(columns):,} columns, and {ends}. "
        + (f"The header tells of other lengths: {REOPENED}" if is_stale else "Write it again")
    )


def check_type(counts: Real[ndarray, " value"], folder: Path) -> None:
    """Refuse counts whose bits make sense as another type of the same width alone.

    Raises:
        ValueError: Names both types, and what to do.
    """
    told = counts.dtype.name
    positive = counts[counts > 0]
    if told not in _SAME_WIDTH or not len(positive):
        return
    read = np.dtype(_SAME_WIDTH[told])
    if counts.dtype.kind == "u":
        as_floats = positive.view(read)
        is_other = bool(
            positive.min() >= np.ones(1, read).view(counts.dtype)[0]
            and np.isfinite(as_floats).all()
            and (as_floats == np.rint(as_floats)).all()
        )
    else:
        is_other = bool(positive.min() < np.finfo(counts.dtype).smallest_normal)
    if is_other:
        raise ValueError(
            f"{folder}: the header says that counts are {told}, but their bits are those of {read} "
            f"({positive[0]} is {positive[:1].view(read)[0]}). {REOPENED}"
        )


def named_cells(header: SCDLHeader | None) -> int:
    """How many cells the header says are named in `obs_features`."""
    indices = [] if header is None else header.feature_indices
    return sum(index.length for index in indices if index.name == FileNames.OBS_FEATURES.value)
