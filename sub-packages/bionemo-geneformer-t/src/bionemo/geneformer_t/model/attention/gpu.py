"""Attention over ragged cells with an NVIDIA GPU's kernels, on the packed tokens as they are.

`varlen` is flash attention (Dao 2023), for 16-bit numbers; `efficient` is the memory-efficient
kernel (Rabe and Staats 2021), for float32 too and for older GPUs. Both honour dropout, and both are
PyTorch's own operators, which `torch.compile` sees through.
"""

import torch
from torch import Tensor

from bionemo.geneformer_t.model.attention.cell_offsets import (
    CellOffsets,
    Demand,
    Keys,
    Queries,
    per_query_segment,
    without_queries,
)

HALVES = (torch.bfloat16, torch.float16)
WIDEST_HEAD = 256
"""The widest head of flash attention."""
WIDTH_STEP = 8
"""Widths of heads are multiples of it."""
AMPERE = (8, 0)
"""The oldest compute capability that flash attention runs on."""
UNMASKED = 0
"""`custom_mask_type` of the memory-efficient operator: nothing is masked."""


@per_query_segment
def attend_varlen(
    query: Queries,
    key: Keys,
    value: Keys,
    query_cells: CellOffsets,
    key_cells: CellOffsets,
    dropout_prob: float = 0.0,
) -> Queries:
    """Flash attention for all cells at once."""
    if not len(query):
        return without_queries(query, key, value)
    attended: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        query_cells.short_offsets,
        key_cells.short_offsets,
        query_cells.longest,
        key_cells.longest,
        dropout_prob,
        is_causal=False,
        return_debug_mask=False,
    )[0]
    return attended


@per_query_segment
def attend_efficient(
    query: Queries,
    key: Keys,
    value: Keys,
    query_cells: CellOffsets,
    key_cells: CellOffsets,
    dropout_prob: float = 0.0,
) -> Queries:
    """Memory-efficient attention for all cells at once."""
    if not len(query):
        return without_queries(query, key, value)
    attended: Tensor = torch.ops.aten._efficient_attention_forward(
        query[None],
        key[None],
        value[None],
        None,  # bias
        query_cells.short_offsets,
        key_cells.short_offsets,
        query_cells.longest,
        key_cells.longest,
        dropout_prob,
        UNMASKED,
        compute_log_sumexp=True,  # for the backward pass
    )[0][0]
    return attended


def why_not_varlen(demand: Demand) -> str | None:
    """What keeps `attend_varlen` from this work; None when nothing does."""
    if demand.dtype not in HALVES:
        return (
            f"it computes in bfloat16 or float16, not in {demand.dtype}; set precision bf16-mixed"
        )
    if demand.head_dim > WIDEST_HEAD or demand.head_dim % WIDTH_STEP:
        return (
            f"heads must be a multiple of {WIDTH_STEP} up to {WIDEST_HEAD} wide, not "
            f"{demand.head_dim}"
        )
    reason = why_not_efficient(demand)
    if reason is not None:
        return reason
    if not torch.backends.cuda.is_flash_attention_available():
        return "this build of PyTorch has no flash attention"
    if torch.cuda.get_device_capability(demand.device) < AMPERE:
        return "the GPU is older than Ampere, which flash attention needs"
    return None


def why_not_efficient(demand: Demand) -> str | None:
    """What keeps `attend_efficient` from this work; None when nothing does."""
    if demand.device.type != "cuda":
        return f"it needs an NVIDIA GPU, the tokens are on {demand.device.type!r}"
    if demand.dtype == torch.float64:
        return "its kernels compute in float32, bfloat16 or float16, not in float64"
    return None
