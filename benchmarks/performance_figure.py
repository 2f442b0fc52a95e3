"""The picture of docs/performance.md: what is left out, and what that leaves to compute.

Everything in it is counted, nothing measured; `train_step.py` measures.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from operations import needed_parts, textbook_parts
from train_step import LONGEST, MASK_PROB, MODELS, SEQ_LENGTH, cell_lengths

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "performance.png"
COLORS = {"layers on tokens": "#4477aa", "attention": "#ee8866", "vocabulary head": "#bbbbbb"}
CONTEXT, NEXT, PADDING, SCORED = 10, 9, 3, (12, 15, 18)  # of the schema; one cell per token


def schema(axes: Axes, *, is_ours: bool) -> None:
    """Which products of a query and a key are computed, in a small example."""
    length = CONTEXT + NEXT + PADDING
    for query in range(length):
        for key in range(length):
            is_seen = query < CONTEXT + NEXT and key < CONTEXT
            is_computed = not is_ours or (key < CONTEXT and (query < CONTEXT or query in SCORED))
            color = ("#ee8866" if is_seen else "#f6d5c8") if is_computed else "white"
            axes.add_patch(
                Rectangle((key, query), 1, 1, facecolor=color, edgecolor="#dddddd", linewidth=0.4)
            )
    axes.set(xlim=(0, length), ylim=(length, 0), aspect="equal", xticks=[], yticks=[])
    edges = {"context": CONTEXT / 2, "next cell": CONTEXT + NEXT / 2, "padding": length - 1}
    for name, at in edges.items():
        axes.text(at, -0.6, name, ha="center", fontsize=7)
        axes.text(-0.6, at, name, va="center", ha="right", rotation=90, fontsize=7)
    axes.set_title("ours" if is_ours else "textbook", fontsize=10, pad=16)


def bars(axes: Axes) -> None:
    """Operations of a pair, textbook beside ours, by part of the model."""
    lengths = cell_lengths("typical", 4_000, np.random.default_rng(0)).reshape(-1, 2)
    cases = {"full length": np.array([[LONGEST, LONGEST]]), "typical lengths": lengths}
    for row, (name, config) in enumerate(MODELS.items()):
        whole = textbook_parts(config, 1, SEQ_LENGTH)
        draw(axes, 4 * row, whole, f"{name}, textbook", 1.0)
        for offset, (case, genes) in enumerate(cases.items(), start=1):
            scored = np.maximum(1, np.round(MASK_PROB * genes[:, 1]))
            parts = needed_parts(config, genes[:, 0] + 2.0, scored)
            mean = {part: number / len(genes) for part, number in parts.items()}
            factor = sum(whole.values()) / sum(mean.values())
            draw(axes, 4 * row + offset, mean, f"{name}, ours, {case}", factor)
    axes.invert_yaxis()
    axes.set(xlabel="GFLOP for the forward and backward pass of a pair", yticks=[])
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in COLORS.values()]
    axes.legend(handles, COLORS, fontsize=8, frameon=False, loc="upper right")


def draw(axes: Axes, at: int, parts: dict[str, float], label: str, factor: float) -> None:
    """One bar, its parts in a row."""
    left = 0.0
    for part, number in parts.items():
        axes.barh(at, number / 1e9, left=left, color=COLORS[part], height=0.75)
        left += number / 1e9
    times = "" if factor == 1 else f"  ({factor:.1f} times fewer)"
    axes.text(left + 6, at, f"{label}: {left:.0f}{times}", va="center", fontsize=8)


def main() -> None:
    """Write the picture."""
    figure, panels = plt.subplots(
        1, 3, figsize=(12.5, 4.2), gridspec_kw={"width_ratios": [1, 1, 2.1]}
    )
    schema(panels[0], is_ours=False)
    schema(panels[1], is_ours=True)
    panels[0].set_ylabel("queries", labelpad=18)
    for panel in panels[:2]:
        panel.set_xlabel("keys")
    bars(panels[2])
    panels[2].set_xlim(0, 900)
    figure.tight_layout()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=130)
    print(PICTURE)


if __name__ == "__main__":
    main()
