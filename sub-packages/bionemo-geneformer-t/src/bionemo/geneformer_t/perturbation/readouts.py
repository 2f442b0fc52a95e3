"""Names of readouts, and what their effects are measured in."""

ROW = "transition row"
"""The readout that every model has: how much probability an edit sends to other cells."""
FATE = "fate "
"""What the names of readouts of fates begin with."""
SCREEN_EFFECT = "screen_effect"
"""The column of estimates by a screen, in every table that has them."""


def unit_of(readout: str) -> str:
    """The unit of an effect on a readout, for the head of a table.

    Effects on fates and on the transition row are differences of probabilities; those on a
    pseudotime are in units of that column of obs.
    """
    if readout == ROW or readout.startswith(FATE):
        return "probability"
    return f"units of {readout}"
