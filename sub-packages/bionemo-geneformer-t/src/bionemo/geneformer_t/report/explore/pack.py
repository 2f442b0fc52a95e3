"""Arrays and names as text that a page can hold."""

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
_GZIP = 31
"""What zlib calls the format."""


def packed(values: Shaped[ndarray, "..."], kind: str) -> str:
    """The bytes of an array, row by row, in base64.

    Args:
        values: Numbers.
        kind: Their type on the page, such as `uint8`; little-endian, as typed arrays of browsers.
    """
    order = np.dtype(kind).newbyteorder("<")
    return b64encode(np.ascontiguousarray(values).astype(order).tobytes()).decode()


def in_percent(shares: Shaped[ndarray, "..."]) -> UInt8[ndarray, "..."]:
    """Numbers from 0 to 1 as whole numbers from 0 to 100; above 0 stays above 0."""
    wanted = np.clip(np.asarray(shares, dtype=np.float32), 0, 1) * 100
    return np.where(wanted > 0, np.maximum(np.rint(wanted), 1), 0).astype(np.uint8)


def compressed(rows: Iterable[bytes], most_bytes: int) -> tuple[int, bytes]:
    """As many of the first rows as there is room for, compressed by gzip, and how many these are.

    Args:
        rows: Rows of a table.
        most_bytes: What they may take.
    """
    writer = zlib.compressobj(9, wbits=_GZIP)
    parts: list[bytes] = []
    size, end = 0, writer.copy().flush()
    for row in rows:
        part = writer.compress(row) + writer.flush(zlib.Z_SYNC_FLUSH)
        new_end = writer.copy().flush()
        size += len(part)
        if size + len(new_end) > most_bytes:
            break
        parts.append(part)
        end = new_end
    return len(parts), b"".join([*parts, end])


def script_json(value: Any) -> str:
    """JSON within a script element: no name can end the element or open another.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPED)
