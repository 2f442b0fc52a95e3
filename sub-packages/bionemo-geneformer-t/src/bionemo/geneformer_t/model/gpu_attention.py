"""Attention over ragged cells with an NVIDIA GPU's kernels, nothing padded.

`varlen` calls flash attention on the packed tokens as they are; it knows 16-bit numbers and no
dropout. `jagged` hands the same memory to `scaled_dot_product_attention` as a nested tensor, which
finds a flash or a memory-efficient kernel, honours dropout and computes in float32 too.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bionemo.geneformer_t.model.groups import Demand, Groups

HALVES = (torch.bfloat16, torch.float16)
WIDEST_HEAD = 256
"""The widest head of flash attention."""
EVEN_WIDTH = 8
"""Widths of heads are multiples of it."""
AMPERE = (8, 0)
"""The oldest compute capability that flash attention runs on."""


def attend_varlen(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    query_groups: Groups,
    key_groups: Groups,
    dropout_prob: float = 0.0,
) -> Float[Tensor, "query head dim"]:
    """Flash attention for all cells at once.

    Raises:
        ValueError: Dropout is asked for.
    """
    from torch.nn.attention.varlen import varlen_attn

    if dropout_prob:
        raise ValueError(
            f"the backend 'varlen' knows no dropout; got dropout_prob {dropout_prob}. Choose "
            "'jagged' or 'auto'"
        )
    if not len(query):
        return query + 0 * (key.sum() + value.sum())
    attended = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        query_groups.short_offsets,
        key_groups.short_offsets,
        query_groups.longest,
        key_groups.longest,
    )
    assert isinstance(attended, Tensor)  # a pair only where sums are asked for
    return attended


def attend_jagged(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    query_groups: Groups,
    key_groups: Groups,
    dropout_prob: float = 0.0,
) -> Float[Tensor, "query head dim"]:
    """One call of `scaled_dot_product_attention` on nested tensors that share our memory."""
    if not len(query):
        return query + 0 * (key.sum() + value.sum())
    attended = F.scaled_dot_product_attention(
        _nested(query, query_groups),
        _nested(key, key_groups),
        _nested(value, key_groups),
        dropout_p=dropout_prob,
    )
    packed: Tensor = attended.transpose(1, 2).values()
    return packed


def _nested(packed: Float[Tensor, "token head dim"], groups: Groups) -> Tensor:
    """A nested tensor `[cell, head, token of the cell, dim]` on the same memory."""
    return torch.nested.nested_tensor_from_jagged(
        packed.contiguous(),
        groups.offsets,
        min_seqlen=min(groups.lengths),
        max_seqlen=groups.longest,
    ).transpose(1, 2)


def why_not_varlen(demand: Demand) -> str | None:
    """What keeps `attend_varlen` from this work; None when nothing does."""
    if demand.dtype not in HALVES:
        return (
            f"it computes in bfloat16 or float16, not in {demand.dtype}; set precision bf16-mixed"
        )
    if demand.head_dim > WIDEST_HEAD or demand.head_dim % EVEN_WIDTH:
        return (
            f"heads must be a multiple of {EVEN_WIDTH} up to {WIDEST_HEAD} wide, not "
            f"{demand.head_dim}"
        )
    if demand.dropout_prob:
        return f"it knows no dropout, and attention_probs_dropout_prob is {demand.dropout_prob}"
    return _why_no_flash(demand.device)


def why_not_jagged(demand: Demand) -> str | None:
    """What keeps `attend_jagged` from this work; None when nothing does."""
    if demand.device.type != "cuda":
        return (
            f"its kernels are an NVIDIA GPU's, the tokens are on {demand.device.type!r}, where it "
            "would fall back to a slow one"
        )
    if not hasattr(torch.nested, "nested_tensor_from_jagged"):
        return "this version of PyTorch has no torch.nested.nested_tensor_from_jagged"
    return None


def _why_no_flash(device: torch.device) -> str | None:
    if device.type != "cuda":
        return f"it needs an NVIDIA GPU, the tokens are on {device.type!r}"
    if not _has_varlen():
        return "this version of PyTorch has no torch.nn.attention.varlen.varlen_attn"
    if not torch.backends.cuda.is_flash_attention_available():
        return "this build of PyTorch has no flash attention"
    if torch.cuda.get_device_capability(device) < AMPERE:
        return "the GPU is older than Ampere, which flash attention needs"
    return None


def _has_varlen() -> bool:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return callable(varlen_attn)
