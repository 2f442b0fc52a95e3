"""Fuzz pickled dictionaries: strings lead to plain values, or the file is refused."""

import sys
from pathlib import Path

import atheris

sys.modules.pop("pickle", None)  # imported anew below, with its branches counted
with atheris.instrument_imports(include=["bionemo.geneformer_t", "pickle"]):
    import pickle

    from bionemo.geneformer_t.dictionaries import read_dictionary

import numpy as np
from fuzz_target import fuzz

_VALUES = {"G1": 1, "G2": 2.5, "G3": np.float64(3.25), "G4": np.int16(-4)}
SAMPLES = [pickle.dumps(_VALUES, protocol=p) for p in range(pickle.HIGHEST_PROTOCOL + 1)]


def read(path: Path) -> None:
    """Read the file; all its keys are strings."""
    assert all(isinstance(key, str) for key in read_dictionary(path))


if __name__ == "__main__":
    fuzz("medians.pkl", read, SAMPLES)
