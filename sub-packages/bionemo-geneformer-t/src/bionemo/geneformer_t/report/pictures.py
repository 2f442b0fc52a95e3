"""Pictures of a report: drawn once, written as SVG and PNG, and held by the page itself.

The same figure gives the same bytes, so that a report of the same values is the same file.
"""

import io
import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from bionemo.geneformer_t.files import write_bytes
from bionemo.geneformer_t.report.figures.style import DPI, as_plain_text

_SALT = "geneformer-t"
"""Makes the names within an SVG repeatable."""
_LONG = re.compile(rb"(?:scale|matrix)\([^)]*\)|(\d\.\d\d)\d+")
"""Factors, which stay as they are, and numbers of more than two decimals."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture."""

    name: str
    """Of its files, without an ending; chosen by us, never by data."""
    svg: bytes
    png: bytes

    @classmethod
    def of(cls, figure: Figure, name: str) -> "Picture":
        """Draw a figure."""
        as_plain_text(figure)
        svg = _with_two_decimals(_bytes(figure, "svg", {"Date": None}))
        return cls(name=name, svg=svg, png=_bytes(figure, "png"))

    @property
    def base64(self) -> str:
        """The SVG as text, for the page."""
        return b64encode(self.svg).decode()

    def write(self, folder: Path) -> None:
        """Both kinds, in a folder that exists."""
        write_bytes(folder / f"{self.name}.svg", self.svg)
        write_bytes(folder / f"{self.name}.png", self.png)


def _bytes(figure: Figure, kind: str, metadata: dict[str, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _with_two_decimals(svg: bytes) -> bytes:
    """Places to a hundredth of a point: an eighth of a page's pictures is further decimals."""
    return _LONG.sub(lambda found: found[1] or found[0], svg)
