"""Attention over packed tokens: cell i of the queries attends to cell i of the keys, unmasked.

A backend is a function of packed queries, keys and values and their `CellOffsets`; two tables name
them, by where they run. All give the same numbers up to rounding. `choose_attention` returns the
requested one, or the first that supports the device, the precision and the dropout.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bionemo.geneformer_t.model.attention.cell_offsets import (
    Attention,
    CellOffsets,
    Demand,
    Keys,
    Queries,
    per_query_segment,
    without_queries,
)
from bionemo.geneformer_t.model.attention.cpu import cpu_attention
from bionemo.geneformer_t.model.attention.cpu_blocks import block_attention
from bionemo.geneformer_t.model.attention.gpu import (
    attend_efficient,
    attend_varlen,
    why_not_efficient,
    why_not_varlen,
)
from bionemo.geneformer_t.model.dropout_masks import draw_seed

logger = logging.getLogger(__name__)


def attend_per_cell(
    query: Queries,
    key: Keys,
    value: Keys,
    segments: Sequence[CellOffsets],
    key_cells: CellOffsets,
    dropout_prob: float = 0.0,
) -> Queries:
    """One call per cell, without padding; on a CPU all query segments of a cell share it.

    There PyTorch's fused kernel serves float32 and float64 without dropout, and our blocks of
    queries all else.
    """
    if query.device.type != "cpu":
        return _attend_cell_by_cell(query, key, value, segments, key_cells, dropout_prob)
    num_queries, num_keys = [cells.lengths for cells in segments], key_cells.lengths
    if not dropout_prob and query.dtype.itemsize > 2:
        return cpu_attention(query, key, value, num_queries, num_keys)
    seed = draw_seed() if dropout_prob else 0
    return block_attention(query, key, value, num_queries, num_keys, dropout_prob, seed)


@per_query_segment
def _attend_cell_by_cell(
    query: Queries,
    key: Keys,
    value: Keys,
    query_cells: CellOffsets,
    key_cells: CellOffsets,
    dropout_prob: float = 0.0,
) -> Queries:
    attended = [
        _attend(
            one_query.transpose(0, 1)[None],
            one_key.transpose(0, 1)[None],
            one_value.transpose(0, 1)[None],
            dropout_prob,
        )[0].transpose(0, 1)
        for one_query, one_key, one_value in zip(
            query.split(query_cells.lengths),
            key.split(key_cells.lengths),
            value.split(key_cells.lengths),
            strict=True,
        )
        if len(one_query)
    ]
    return torch.cat(attended) if attended else without_queries(query, key, value)


@per_query_segment
def attend_padded(
    query: Queries,
    key: Keys,
    value: Keys,
    query_cells: CellOffsets,
    key_cells: CellOffsets,
    dropout_prob: float = 0.0,
) -> Queries:
    """One call for all cells, padded to the longest of the batch, with padded keys masked."""
    if not len(query):
        return without_queries(query, key, value)
    queries, keys, values = (
        pad_sequence(packed.split(cells.lengths), batch_first=True).transpose(1, 2)
        for packed, cells in ((query, query_cells), (key, key_cells), (value, key_cells))
    )
    is_key = _is_token(key_cells, keys.shape[2])
    attended = _attend(queries, keys, values, dropout_prob, is_key[:, None, None, :])
    return attended.transpose(1, 2)[_is_token(query_cells, queries.shape[2])]


def _attend(
    query: Float[Tensor, "cell head query dim"],
    key: Float[Tensor, "cell head key dim"],
    value: Float[Tensor, "cell head key dim"],
    dropout_prob: float,
    mask: Tensor | None = None,
) -> Float[Tensor, "cell head query dim"]:
    return F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout_prob)


def _is_token(cells: CellOffsets, longest: int) -> Tensor:
    positions = torch.arange(longest, device=cells.offsets.device)
    return positions < cells.offsets.diff()[:, None]


ATTENTION_BACKENDS: dict[str, Attention] = {
    "per_cell": attend_per_cell,
    "padded": attend_padded,
}
"""Those that run on every device, in every precision, with and without dropout."""

GPU_BACKENDS: dict[str, Attention] = {
    "varlen": attend_varlen,
    "efficient": attend_efficient,
}
"""Those with kernels for ragged cells on NVIDIA GPUs; `LIMITS` says what each of them needs."""

OPERATORS: frozenset[Attention] = frozenset(GPU_BACKENDS.values())
"""Those that are one operator of PyTorch's, whatever the lengths of cells."""

LIMITS: dict[str, Callable[[Demand], str | None]] = {
    "varlen": why_not_varlen,
    "efficient": why_not_efficient,
}
"""Why a backend cannot do what is asked; None when it can."""

PREFERRED = {"cpu": ("per_cell",), "cuda": ("varlen", "efficient", "padded")}
"""What `auto` tries in turn, by the kind of device; elsewhere `padded`."""


def choose_attention(
    name: str,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    head_dim: int = 64,
    dropout_prob: float = 0.0,
) -> Attention:
    """The backend of that name; `auto` takes the first that suits.

    Args:
        name: `auto`, or a name in `ATTENTION_BACKENDS` or `GPU_BACKENDS`.
        device: Where the tokens are.
        dtype: The precision of queries, keys and values.
        head_dim: The width of a head.
        dropout_prob: The dropout that attention must honour; 0 outside training.

    Raises:
        ValueError: No such backend, or it cannot do this.
    """
    demand = Demand(device=device, dtype=dtype, head_dim=head_dim, dropout_prob=dropout_prob)
    known = {**ATTENTION_BACKENDS, **GPU_BACKENDS}
    if name == "auto":
        return known[_first_suitable(demand)]
    if name not in known:
        raise ValueError(
            f"attention_backend must be one of {', '.join(['auto', *known])}; got {name!r}"
        )
    reason = _why_not(name, demand)
    if reason is not None:
        raise ValueError(
            f"attention_backend {name!r} cannot be used here: {reason}; choose 'auto', which takes "
            f"{_first_suitable(demand)!r}"
        )
    return known[name]


@cache
def _first_suitable(demand: Demand) -> str:
    candidates = PREFERRED.get(demand.device.type, ("padded",))
    for name in candidates[:-1]:
        reason = _why_not(name, demand) or failed_trial(GPU_BACKENDS[name], demand)
        if reason is None:
            return name
        logger.info("attention backend %r is not used on %s: %s", name, demand.device, reason)
    return candidates[-1]


def _why_not(name: str, demand: Demand) -> str | None:
    return LIMITS[name](demand) if name in LIMITS else None


def failed_trial(attend: Attention, demand: Demand) -> str | None:
    """Run a backend on small cells, one without a query, beside the padded one, and backward too.

    Returns:
        What went wrong, or None. With dropout, whose draws differ, the numbers need only be finite.
    """
    expected = _trial(attend_padded, demand)
    try:
        found = _trial(attend, demand)
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        return f"{type(error).__name__} in a trial: {error}"
    # two matrix products in another order: 16-bit numbers keep 8 bits or more of their mantissa
    tolerance = 1e-4 if demand.dtype in {torch.float32, torch.float64} else 0.05
    for got, wanted in zip(found, expected, strict=True):
        is_close = bool((got - wanted).norm() <= tolerance * wanted.norm())
        if not torch.isfinite(got).all() or not (is_close or demand.dropout_prob):
            return "a trial gave other numbers than the padded backend"
    return None


def _trial(attend: Attention, demand: Demand) -> list[Tensor]:
    """What a backend makes of three small cells, and its gradients."""
    generator = torch.Generator().manual_seed(0)
    on_gpu = [demand.device] if demand.device.type == "cuda" else []
    with (
        torch.random.fork_rng(on_gpu),  # or a run's own draws would come later
        torch.inference_mode(mode=False),  # the caller may be predicting, where nothing is recorded
        torch.enable_grad(),
    ):
        queries, keys = (
            CellOffsets.of(torch.tensor(offsets, device=demand.device))
            for offsets in ([0, 3, 3, 8], [0, 2, 5, 7])
        )
        query, key, value = (
            torch.randn(tokens, 2, demand.head_dim, generator=generator)
            .to(demand.device, demand.dtype)
            .requires_grad_()
            for tokens in (8, 7, 7)
        )
        attended = attend(query, key, value, [queries], keys, demand.dropout_prob)
        gradients = torch.autograd.grad(attended.square().sum(), (query, key, value))
    return [attended.detach(), *gradients]
