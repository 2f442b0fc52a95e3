"""The pictures of docs/method.md: two cells become a pair of tokens, and who attends to whom.

Ranks are computed by the package's encoding, and the mask is that of its isolation rule.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bionemo.geneformer_t.data.rank_value import rank_value_encode
from bionemo.geneformer_t.model.isolation import Segment, isolation_mask

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
GENES = ("SOX2", "ACTB", "NEUROG3", "PAX4", "INS")
COLORS = dict(zip(GENES, ("#4477aa", "#bbbbbb", "#228833", "#aa3377", "#ee6677"), strict=True))
MEDIANS = np.array([4.0, 40.0, 2.0, 1.0, 5.0])  # counts of a cell; made up
COUNTS = {
    "current cell": np.array([8.0, 44.0, 6.0, 0.0, 0.0]),
    "next cell": np.array([0.0, 38.0, 2.0, 4.0, 11.0]),
}
SCORED = (0, 3)  # ranks of the next cell
CONTEXT_COLOR, NEXT_COLOR, MASK_COLOR = "#ee8866", "#f6d5c8", "#1b1f23"


def ranked(counts: np.ndarray) -> list[str]:
    """The genes of a cell, the most characteristic first."""
    (expressed,) = counts.nonzero()
    order = rank_value_encode(
        counts[expressed], expressed, MEDIANS[expressed], np.array([len(expressed)])
    )
    return [GENES[gene] for gene in order]


def cell(axes: Axes, name: str, counts: np.ndarray) -> None:
    """Counts of a cell, and how often the usual count that is."""
    axes.barh(range(len(GENES)), counts, color=list(COLORS.values()), height=0.7)
    for row, (count, median) in enumerate(zip(counts, MEDIANS, strict=True)):
        text = f"{count:.0f} = {count / median:.2g} x median" if count else "0"
        axes.text(count + 1, row, text, va="center", fontsize=8)
    axes.set(xlim=(0, 95), ylim=(len(GENES) - 0.4, -0.6), xticks=[])
    axes.set_yticks(range(len(GENES)), GENES, fontsize=8)
    axes.set_title(f"counts of the {name}", fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def tokens() -> list[tuple[str, str, Segment]]:
    """What the network reads, the colour of each, and the cell it belongs to."""
    current, following = (ranked(counts) for counts in COUNTS.values())
    context = ["[CLS]", *current, "[SEP]"]
    after = ["[MASK]" if rank in SCORED else gene for rank, gene in enumerate(following)]
    pairs = [(token, Segment.CONTEXT) for token in context]
    pairs += [(token, Segment.NEXT_CELL) for token in [*after, "[SEP]"]]
    return [(token, COLORS.get(token, "white"), segment) for token, segment in pairs]


def sequence(axes: Axes) -> None:
    """Tokens in a row; below the masked ones what is to be predicted."""
    following, start = ranked(COUNTS["next cell"]), len(ranked(COUNTS["current cell"])) + 2
    for place, (token, color, _) in enumerate(tokens()):
        face = MASK_COLOR if token == "[MASK]" else color
        axes.add_patch(Rectangle((place + 0.04, 0), 0.92, 1, facecolor=face, edgecolor="#888888"))
        ink = "white" if face not in {"white", "#bbbbbb"} else "black"
        axes.text(place + 0.5, 0.5, token, ha="center", va="center", fontsize=7, color=ink)
    for rank in SCORED:
        at = start + rank + 0.5
        axes.annotate(
            f"which gene?\n({following[rank]})", (at, 0), (at, -1.0), ha="center", va="top",
            fontsize=8, arrowprops={"arrowstyle": "<-"},
        )  # fmt: skip
    axes.text(start / 2, 1.25, "current cell, by rank", ha="center", fontsize=9)
    axes.text(start + len(following) / 2, 1.25, "next cell, by rank", ha="center", fontsize=9)
    axes.set(xlim=(0, len(tokens())), ylim=(-2.2, 1.8))
    axes.set_axis_off()


def mask(axes: Axes) -> None:
    """The attention mask of this pair."""
    names = [token for token, _, _ in tokens()]
    allowed = isolation_mask(torch.tensor([segment for _, _, segment in tokens()])).numpy()
    for query, key in np.ndindex(*allowed.shape):
        color = CONTEXT_COLOR if allowed[query, key] else "white"
        axes.add_patch(
            Rectangle((key, query), 1, 1, facecolor=color, edgecolor="#cccccc", linewidth=0.5)
        )
    ticks = np.arange(len(names)) + 0.5
    axes.set(xlim=(0, len(names)), ylim=(len(names), 0), aspect="equal")
    axes.set_xticks(ticks, names, rotation=90, fontsize=7.5)
    axes.set_yticks(ticks, names, fontsize=7.5)
    axes.tick_params(length=0)
    axes.set_title("each row attends to the coloured columns", fontsize=10)


def main() -> None:
    """Write the pictures."""
    figure = plt.figure(figsize=(7.4, 4.3))
    grid = figure.add_gridspec(2, 2, height_ratios=[1.3, 1])
    for column, (name, counts) in enumerate(COUNTS.items()):
        cell(figure.add_subplot(grid[0, column]), name, counts)
    sequence(figure.add_subplot(grid[1, :]))
    figure.tight_layout()
    figure.savefig(IMAGES / "pair_of_cells.png", dpi=150)
    figure = plt.figure(figsize=(4.4, 4.2))
    mask(figure.add_subplot())
    figure.tight_layout()
    figure.savefig(IMAGES / "isolation.png", dpi=110)


if __name__ == "__main__":
    main()
