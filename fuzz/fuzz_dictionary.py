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
WORDS = [
    *(bytes([code]) + b"\x02\x00\x00\x00G1" for code in b"XUTBC"), b"\x8c\x02G1", b"}(", b"u.",
    b"cnumpy.core.multiarray\n", b"cnumpy\ndtype\n", b"scalar\n", b"f8", b"i2", b"\x93", b"s.",
    b"\x85R", b"\x86R", b"\x87R", b"\x80\x04\x95", b"K\x01", b"J\xff\xff\xff\xff", b"\x8a\x01\x01",
    b"G?\xf0\x00\x00\x00\x00\x00\x00",
]  # fmt: skip


def read(path: Path) -> None:
    """Read the file; all its keys are strings."""
    assert all(isinstance(key, str) for key in read_dictionary(path))


if __name__ == "__main__":
    fuzz("medians.pkl", read, SAMPLES, WORDS)
