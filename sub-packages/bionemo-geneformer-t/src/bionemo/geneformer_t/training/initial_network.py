"""How a small network starts: able to see the current cell, and not yet changing the prediction.

Random weights of BERT's kind serve wide networks and much data. A narrow network that learns from
hundreds of cells has no steps to spare, so that it starts with what is known beforehand: ranks that
are near are alike, genes at the top of a cell say the most, linear maps should keep the scale of
what goes through them, and the gene frequencies are the best constant answer.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bionemo.geneformer_t.model.network import NextCellBert

HIGHEST_FREQUENCY = 6.0
"""Of the waves over ranks, in half turns from the first rank to the last."""
SHARPEST_HEAD = 12.0
"""By how much the logit of attention falls from the first rank to the last, in the sharpest
head."""
_THROUGH_RELU = (0.5, 1.5)
"""Biases at which the head's ReLU starts, so that it passes small changes of either sign."""


def start_network(net: NextCellBert, gene_columns: int, longest: int) -> None:
    """Set positions, linear maps and the first layer's attention.

    Args:
        net: Its weights are random, of standard deviation `initializer_range`.
        gene_columns: Columns of the embeddings that genes have; ranks get the others.
        longest: The last position that is used.
    """
    with torch.no_grad():
        for module in net.bert.encoder.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(module.in_features**-0.5 / net.config.initializer_range)
        places = (torch.arange(net.config.max_position_embeddings) / longest).clamp(max=1).sqrt()
        waves = waves_over_ranks(places, net.config.hidden_size - gene_columns)
        _set_positions(net, waves, gene_columns, longest)
        _grade_heads(net, places, gene_columns, longest)
        _start_at_constant(net)


def waves_over_ranks(
    places: Float[Tensor, " position"], number: int
) -> Float[Tensor, "position wave"]:
    """Cosines and sines of rising frequency, so that near ranks are alike.

    Args:
        places: Of each position, from 0 to 1.
        number: Waves.
    """
    half = -(-number // 2)
    angles = math.pi * torch.linspace(0.5, HIGHEST_FREQUENCY, half) * places[:, None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)[:, :number]


def _set_positions(
    net: NextCellBert, waves: Float[Tensor, "position wave"], gene_columns: int, longest: int
) -> None:
    """Waves in the columns of ranks, as large as genes are in theirs."""
    used = slice(1, longest + 1)
    centered = waves - waves[used].mean(0)
    spread = centered[used].std() if longest > 1 else 1.0
    scaled = centered / spread * net.config.hidden_size**-0.5
    table = net.bert.embeddings.position_embeddings.weight
    table.zero_()
    table[:, gene_columns:] = scaled


def _grade_heads(
    net: NextCellBert, places: Float[Tensor, " position"], gene_columns: int, longest: int
) -> None:
    """Let the heads of the first layer average over ever fewer of the highest-ranked genes.

    The first head starts with all genes alike; of several heads, the last one sees little but the
    top. In each, one dimension of the keys is fitted to fall with the rank, and meets a constant
    query.
    """
    attention = net.bert.layers[0].attention.self
    ranks = net.bert.embeddings.position_embeddings.weight[1 : longest + 1].clone()
    # genes are as large in their columns, and take that share of what LayerNorm leaves
    share = 1 - gene_columns / net.config.hidden_size
    seen = F.layer_norm(ranks, ranks.shape[1:])[:, gene_columns:] * share**0.5
    falling = places[1 : longest + 1].mean() - places[1 : longest + 1]
    slope = torch.linalg.lstsq(seen, falling[:, None], driver="gelsd").solution[:, 0]
    heads, width = attention.num_heads, attention.query.out_features // attention.num_heads
    for head in range(heads):
        sharpness = SHARPEST_HEAD * (head / max(heads - 1, 1)) ** 1.5
        first = head * width
        attention.key.weight[first] = 0
        attention.key.weight[first, gene_columns:] = sharpness * slope
        attention.query.weight[first] = 0
        attention.query.bias[first] = width**0.5


def _start_at_constant(net: NextCellBert) -> None:
    """Let the last map before the vocabulary be zero.

    Training then begins at the biases, instead of first having to forget what random maps make of
    the current cell (the zero initialisation of residual branches: Zhang, Dauphin and Ma 2019,
    "Fixup").
    """
    transform = net.cls.predictions.transform
    dense, norm = transform.dense, transform.LayerNorm
    nn.init.zeros_(dense.weight)
    # constants of two kinds, which ReLU passes and LayerNorm can scale, and whose sum with the bias
    # of LayerNorm is zero
    dense.bias[::2], dense.bias[1::2] = _THROUGH_RELU
    norm.bias.copy_(-F.layer_norm(dense.bias, norm.normalized_shape, eps=norm.eps))
