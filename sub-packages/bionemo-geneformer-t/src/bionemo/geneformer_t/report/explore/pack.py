"""Arrays and names as text that a page can hold."""

import json
from base64 import b64encode
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def packed(values: Shaped[ndarray, "..."], kind: str) -> str:
    """The bytes of an array, row by row, in base64.

    Args:
        values: Numbers.
        kind: Their type on the page, such as `uint8`; little-endian, as typed arrays of browsers.
    """
    order = np.dtype(kind).newbyteorder("<")
    return b64encode(np.ascontiguousarray(values).astype(order).tobytes()).decode()


def as_bytes(shares: Shaped[ndarray, "..."]) -> Shaped[ndarray, "..."]:
    """Numbers from 0 to 1 as whole numbers from 0 to 255; above 0 stays above 0."""
    wanted = np.clip(np.asarray(shares, dtype=np.float32), 0, 1) * 255
    return np.where(wanted > 0, np.maximum(np.rint(wanted), 1), 0).astype(np.uint8)


def script_json(value: Any) -> str:
    """JSON within a script element: no name can end the element or open another.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPED)
