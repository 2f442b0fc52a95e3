"""Mean arrows over a map: to true successors, to predictions, and along transitions."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.figures.cell_arrows import (
    grid_weights,
    mean_arrows,
    shown_fraction,
)
from bionemo.geneformer_t.report.figures.transition_arrows import transition_moves

PREDICTED, TRUE, TRANSITIONS = "predicted next cells", "true successors", "transitions"


def map_arrows(
    coordinates: Float[ndarray, "cell 2"],
    arrows: Arrows,
    transitions: sp.csr_array | None,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Float[ndarray, "place 4"]]]:
    """Names of arrows, and where each arrow starts (x, y) and ends (x, y), as the pictures draw it.

    Args:
        coordinates: The place of every cell.
        arrows: Where current cells go.
        transitions: Cells x cells; None where there are none for these cells.
        rng: Draws the cells whose transitions are averaged, where cells are many.
    """
    starts = coordinates[arrows.cells]
    weights = grid_weights(starts)
    tails = weights @ starts
    shown = shown_fraction(weights @ (arrows.true_ends - starts), starts)
    for name, ends in ((PREDICTED, arrows.predicted_ends), (TRUE, arrows.true_ends)):
        yield name, np.hstack([tails, tails + shown * (weights @ (ends - starts))])
    if transitions is None:
        return
    found = transition_moves(transitions, coordinates, rng)
    if len(found.cells):
        mean = mean_arrows(coordinates[found.cells], found.moves, found.lengths)
        yield TRANSITIONS, np.hstack([mean.tails, mean.tails + mean.shown * mean.moves])
