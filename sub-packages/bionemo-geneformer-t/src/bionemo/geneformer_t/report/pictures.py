"""Pictures of a report: drawn once, written as SVG and PNG, and held by the page itself.

The same figure gives the same bytes, so that a report of the same values is the same file.
"""

import base64
import io
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from bionemo.geneformer_t.report.figures.style import DPI, as_plain_text
from bionemo.geneformer_t.report.markup import Html, element

_SALT = "geneformer-t"
"""Makes the names within an SVG repeatable."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture."""

    name: str
    """Of its files, without an ending; chosen by us, never by data."""
    alt: str
    """What it shows, for those who cannot see it."""
    svg: bytes
    png: bytes

    @classmethod
    def of(cls, figure: Figure, name: str, alt: str) -> "Picture":
        """Draw a figure."""
        as_plain_text(figure)
        return cls(
            name=name, alt=alt, svg=_bytes(figure, "svg", {"Date": None}), png=_bytes(figure, "png")
        )

    def shown(self) -> Html:
        """The picture within the page.

        As an image rather than as elements: names inside two SVGs of a page would meet.
        """
        held = base64.b64encode(self.svg).decode()
        return element(
            "figure", element("img", src=f"data:image/svg+xml;base64,{held}", alt=self.alt)
        )


def _bytes(figure: Figure, kind: str, metadata: dict[str, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
