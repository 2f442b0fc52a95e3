"""SplitMix64, a hash of 64-bit words that passes BigCrush on counters (Steele et al. 2014)."""

import numpy as np
from jaxtyping import UInt64
from numpy import ndarray

STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(values: UInt64[ndarray, " word"]) -> UInt64[ndarray, " word"]:
    """Its step and output: similar words become unlike, different ones stay different."""
    mixed = values + STEP
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= factor
    mixed ^= mixed >> np.uint64(31)
    return mixed
