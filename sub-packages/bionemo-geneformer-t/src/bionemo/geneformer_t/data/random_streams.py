"""Random numbers that are a pure function of (seed, epoch, cell): who draws when cannot matter.

Shuffling takes a generator. What is drawn for every cell takes hashed counters instead: number i of
a cell's stream is a hash of the cell's key and i, so that one call draws for a whole batch, and any
cell alone draws the same. SplitMix64's output function (Steele, Lea and Flood 2014) is the hash; it
passes BigCrush on counters.
"""

import numpy as np
from jaxtyping import Float, Int, UInt64
from numpy import ndarray

_WORD = (1 << 64) - 1
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def generator(seed: int, epoch: int, cell: int) -> np.random.Generator:
    """The generator of one cell in one epoch.

    Philox is built for this: every key starts a stream that is independent of all others. Half of
    the key is the cell, the other half a mix of seed and epoch.
    """
    mixed = int(_mix(_mix(_words(seed)) ^ _words(epoch))[0])
    return np.random.Generator(np.random.Philox(key=(mixed << 64) | (cell & _WORD)))


def stream_keys(
    seed: int, epochs: Int[ndarray, " draw"], cells: Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """The key of each (seed, epoch, cell)."""
    return _mix(_mix(_mix(_words(seed)) ^ _words(epochs)) ^ _words(cells))


def substreams(
    keys: UInt64[ndarray, " draw"], numbers: int | Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """Keys of further streams of the same cells: one for each number."""
    return _mix(keys ^ _mix(_words(numbers)))


def words(
    keys: UInt64[ndarray, " draw"], counters: Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """64 random bits: number `counter` of the stream of each key. No stream repeats a number."""
    found = counters.astype(np.uint64)
    found *= _STEP
    found += keys
    return _mix(found)


def uniform(
    keys: UInt64[ndarray, " draw"], counters: Int[ndarray, " draw"]
) -> Float[ndarray, " draw"]:
    """The same as numbers between 0 and 1, both excluded."""
    fractions = (words(keys, counters) >> np.uint64(12)).astype(np.float64)
    fractions += 0.5
    fractions *= 2.0**-52
    return fractions


def _words(values: int | Int[ndarray, " value"]) -> UInt64[ndarray, " _"]:
    if isinstance(values, int):
        return np.array([values & _WORD], dtype=np.uint64)
    return values.astype(np.uint64)


def _mix(values: UInt64[ndarray, " word"]) -> UInt64[ndarray, " word"]:
    """SplitMix64's step and output: similar words become unlike, different ones stay different."""
    mixed = values + _STEP
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= factor
    mixed ^= mixed >> np.uint64(31)
    return mixed
