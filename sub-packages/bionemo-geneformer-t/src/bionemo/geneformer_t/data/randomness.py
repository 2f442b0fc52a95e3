"""One generator for each (seed, epoch, cell), so that nothing depends on who draws when."""

import numpy as np

_WORD = (1 << 64) - 1


def generator(seed: int, epoch: int, cell: int) -> np.random.Generator:
    """The generator of one cell in one epoch; it takes a few microseconds to make.

    Philox is built for this: every key starts a stream that is independent of all others. Half of
    the key is the cell, the other half a mix of seed and epoch.
    """
    mixed = _mix(_mix(seed & _WORD) ^ (epoch & _WORD))
    return np.random.Generator(np.random.Philox(key=(mixed << 64) | (cell & _WORD)))


def _mix(word: int) -> int:
    """SplitMix64's output function (Steele, Lea and Flood 2014): similar words become unlike."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
