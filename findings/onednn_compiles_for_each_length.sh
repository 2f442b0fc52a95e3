#!/usr/bin/env bash
# torch 2.13.0 on a CPU: in bfloat16, every matrix product of a new shape compiles a kernel first, and
# that takes longer than the product.
#
# bfloat16 products go to oneDNN, which makes a primitive for each shape and keeps it. For
# 4 x [128, 32] x [32, n], the size of attention in a small transformer, making it took three times as
# long as using it. In float32 the same products go to MKL, which makes none.
#
# Why it matters: cells express hundreds of different numbers of genes, so batches without padding (and
# batches padded to their longest cell) bring new shapes all the time. Training a network of 2 layers,
# 128 wide, with attention cell by cell took 1.5 times as long in bfloat16 as in float32 on a processor
# whose bfloat16 rate is 6 times its float32 rate; a benchmark that repeats one batch does not show it.
# The way out is to pad lengths to multiples of, say, 64: then bfloat16 was as fast as float32 there.
#
# Needs a processor with avx512_bf16 or AMX.
#
# Output seen (Intel Xeon with AMX, one loaded core):
#   float32, 40 lengths:           0 kernels made
#   bfloat16, 40 lengths:          40 kernels made, 433 ms to make them, 134 ms to use them
#   bfloat16, the same once more:  0 kernels made
#   bfloat16, multiples of 64:     2 kernels made
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cat > "$tmp/products.py" <<'PYTHON'
import sys

import torch

torch.set_num_threads(1)
dtype = getattr(torch, sys.argv[1])
for times, multiple in ((1, 1), (2, 1), (1, 64)):
    if str(times) == sys.argv[2] and str(multiple) == sys.argv[3]:
        for _ in range(times):
            for length in range(301, 341):
                padded = -(-length // multiple) * multiple
                torch.bmm(torch.ones(4, 128, 32, dtype=dtype), torch.ones(4, 32, padded, dtype=dtype))
PYTHON
made() { # of products in $1, $2 times, of multiples of $3: kernels made, ms to make and to use them
    ONEDNN_VERBOSE=2 "$tmp/venv/bin/python" "$tmp/products.py" "$@" | awk -F, '
        /,create:cache_miss,.*matmul/ { made++; making += $NF }
        /,exec,.*matmul/ { using += $NF }
        END { printf "%d %.0f %.0f\n", made, making, using }'
}
read -r wide _ _ < <(made float32 1 1)
read -r first making using < <(made bfloat16 1 1)
read -r twice _ _ < <(made bfloat16 2 1)
read -r padded _ _ < <(made bfloat16 1 64)
echo "float32, 40 lengths:           $wide kernels made"
echo "bfloat16, 40 lengths:          $first kernels made, $making ms to make them, $using ms to use them"
echo "bfloat16, the same once more:  $((twice - first)) kernels made"
echo "bfloat16, multiples of 64:     $padded kernels made"
test "$wide" = 0
test "$first" = 40
test "$twice" = 40
test "$padded" = 2
test "$making" -gt "$using"
