"""Attention over packed tokens: query group i sees key group i, and nothing is masked.

A backend is a function of packed queries, keys and values and their `Groups`; the table at the
bottom names them. All give the same numbers up to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bionemo.geneformer_t.model.dropped_attention import dropped_attention


@dataclass(frozen=True)
class Groups:
    """Where each group of packed tokens begins and ends."""

    offsets: Int[Tensor, " groups_plus_1"]
    lengths: list[int]

    @classmethod
    def of(cls, offsets: Int[Tensor, " groups_plus_1"]) -> "Groups":
        """Read the lengths once; on a GPU this is the one wait for the device in a step."""
        return cls(offsets=offsets, lengths=offsets.diff().tolist())


Attention = Callable[
    [
        Float[Tensor, "query head dim"],
        Float[Tensor, "key head dim"],
        Float[Tensor, "key head dim"],
        Groups,
        Groups,
        float,
    ],
    Float[Tensor, "query head dim"],
]
"""`(query, key, value, query_groups, key_groups, dropout_prob) -> attended`"""


def attend_per_cell(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    query_groups: Groups,
    key_groups: Groups,
    dropout_prob: float = 0.0,
) -> Float[Tensor, "query head dim"]:
    """One call per cell on views of the packed tokens: no copies, no padding."""
    if dropout_prob and query.device.type == "cpu":
        lengths = list(zip(query_groups.lengths, key_groups.lengths, strict=True))
        seed = int(torch.randint(2**62, ()))
        return dropped_attention(query, key, value, lengths, dropout_prob, seed)
    attended = [
        _attend(
            one_query.transpose(0, 1)[None],
            one_key.transpose(0, 1)[None],
            one_value.transpose(0, 1)[None],
            dropout_prob,
        )[0].transpose(0, 1)
        for one_query, one_key, one_value in zip(
            query.split(query_groups.lengths),
            key.split(key_groups.lengths),
            value.split(key_groups.lengths),
            strict=True,
        )
        if len(one_query)
    ]
    # Splitting and joining keep the graph whole even for a batch without a single query.
    return torch.cat(attended) if attended else query + 0 * (key.sum() + value.sum())


def attend_padded(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    query_groups: Groups,
    key_groups: Groups,
    dropout_prob: float = 0.0,
) -> Float[Tensor, "query head dim"]:
    """One call for all cells, padded to the longest of the batch, with padded keys hidden."""
    if not len(query):
        return query + 0 * (key.sum() + value.sum())
    queries, keys, values = (
        pad_sequence(packed.split(groups.lengths), batch_first=True).transpose(1, 2)
        for packed, groups in ((query, query_groups), (key, key_groups), (value, key_groups))
    )
    is_key = _is_token(key_groups, keys.shape[2])
    attended = _attend(queries, keys, values, dropout_prob, is_key[:, None, None, :])
    return attended.transpose(1, 2)[_is_token(query_groups, queries.shape[2])]


def _attend(
    query: Float[Tensor, "cell head query dim"],
    key: Float[Tensor, "cell head key dim"],
    value: Float[Tensor, "cell head key dim"],
    dropout_prob: float,
    mask: Tensor | None = None,
) -> Float[Tensor, "cell head query dim"]:
    return F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout_prob)


def _is_token(groups: Groups, longest: int) -> Tensor:
    positions = torch.arange(longest, device=groups.offsets.device)
    return positions < groups.offsets.diff()[:, None]


ATTENTION_BACKENDS: dict[str, Attention] = {
    "per_cell": attend_per_cell,
    "padded": attend_padded,
}


def choose_attention(name: str, device: torch.device) -> Attention:
    """The backend of that name; `auto` takes `per_cell` on the CPU and `padded` elsewhere.

    Raises:
        ValueError: No such backend.
    """
    if name == "auto":
        name = "per_cell" if device.type == "cpu" else "padded"
    if name not in ATTENTION_BACKENDS:
        known = ", ".join(["auto", *ATTENTION_BACKENDS])
        raise ValueError(f"attention_backend must be one of {known}; got {name!r}")
    return ATTENTION_BACKENDS[name]
