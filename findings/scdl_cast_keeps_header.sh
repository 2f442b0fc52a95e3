#!/usr/bin/env bash
# bionemo-scdl 0.1.3: casting or joining an archive that was opened from disk leaves the old types in
# its header, and the archive then reads as other numbers, without an error.
#
# SingleCellMemMapDataset._write_header builds the new header and then writes the one that was loaded
# (`self.header if self.header is not None`). So after cast_data_to_dtype("float16") on a reopened
# archive of 16-bit integers, header.sch still says UINT16, and the counts 1 and 2 come back as 15360
# and 16384, the bits of 1.0 and 2.0. After concat with wider counts, half of the values come back as
# zeros. An archive that is cast in the process that made it has the right header.
#
# Why it matters: a cast to save space, or a join of two days' samples, is routine; both results pass
# as whole, non-negative counts, and nothing downstream can tell. The way out is to set
# `archive.header = None` after opening, before the cast or the join.
#
# Output seen:
#   cast where it was made:      FLOAT16 [1.0, 2.0, 3.0]
#   cast after reopening:        UINT16 [15360, 16384, 16896]
#   cast with header = None:     FLOAT16 [1.0, 2.0, 3.0]
#   joined after reopening:      UINT8 [1, 0, 2, 0, 3, 0, 232, 3, 208, 7, 184, 11], expected [1, 2, 3, 1000, 2000, 3000]
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 bionemo-scdl==0.1.3 anndata==0.12.19 \
    numpy==2.4.6 pandas==2.3.3 scipy==1.17.1
"$tmp/venv/bin/python" -W ignore - "$tmp" <<'PYTHON'
import logging
import sys
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from bionemo.scdl.schema.header import SCDLHeader

logging.disable(logging.CRITICAL)
tmp = Path(sys.argv[1])
counts = np.array([[1, 0, 2], [0, 3, 0]], dtype=np.float32)


def new(name, counts, dtype):
    h5ad = tmp / f"{name}.h5ad"
    anndata.AnnData(sp.csr_matrix(counts)).write_h5ad(h5ad)
    return SingleCellMemMapDataset(
        str(tmp / name), str(h5ad), use_X_not_raw=True, data_dtype=dtype
    )


def reopen(archive):
    return SingleCellMemMapDataset(archive.data_path)


def seen(archive):
    header = SCDLHeader.load(archive.header_path)
    (dtype,) = [a.dtype.name.removesuffix("_ARRAY") for a in header.arrays if a.name == "DATA"]
    return dtype, reopen(archive).data.tolist()


made_here = new("made_here", counts, "uint16")
made_here.cast_data_to_dtype("float16")
reopened = reopen(new("reopened", counts, "uint16"))
reopened.cast_data_to_dtype("float16")
without = reopen(new("without", counts, "uint16"))
without.header = None
without.cast_data_to_dtype("float16")
joined = reopen(new("joined", counts, "uint8"))
joined.concat(new("other", counts * 1000, "uint16"))

print("cast where it was made:     ", *seen(made_here))
print("cast after reopening:       ", *seen(reopened))
print("cast with header = None:    ", *seen(without))
print("joined after reopening:     ", *seen(joined), end=", ")
print("expected", [1, 2, 3, 1000, 2000, 3000])
assert seen(made_here) == ("FLOAT16", [1.0, 2.0, 3.0])
assert seen(reopened) == ("UINT16", [15360, 16384, 16896])
assert seen(without) == ("FLOAT16", [1.0, 2.0, 3.0])
assert seen(joined) == ("UINT8", [1, 0, 2, 0, 3, 0, 232, 3, 208, 7, 184, 11])
PYTHON
