"""Steps of a small network, ours and the textbook's: what several tests of the encoder compare."""

import numpy as np
import torch
from textbook import random_pair, textbook_loss

from bionemo.geneformer_t.config import BioBertConfig

VOCAB = 120
RAGGED = [(1, 1, 1), (40, 30, 5), (3, 60, 60), (61, 2, 1), (17, 17, 3), (60, 60, 9)]
"""Genes of the current cell, of the next cell, and how many of these are scored."""


def small_config(**changes) -> BioBertConfig:
    """A small network, without dropout unless it is asked for."""
    return BioBertConfig(
        **{
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.2,  # far from zero, so that every path carries gradient
            **changes,
        }
    )


def pairs_of(sizes, seed=0):
    """Random pairs of the given sizes."""
    generator = np.random.default_rng(seed)
    return [random_pair(generator, *size, VOCAB) for size in sizes]


def step(net, batch, attend) -> dict[str, torch.Tensor]:
    """The mean loss and all gradients."""
    net.zero_grad()
    loss = net.summed_loss(batch, attend) / batch.num_scored
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in net.named_parameters()}}


def textbook_step(oracle, inputs) -> dict[str, torch.Tensor]:
    """The same of the textbook model, with gradients of their own."""
    oracle.zero_grad()
    loss = textbook_loss(oracle, inputs)
    loss.backward()
    gradients = {n: p.grad for n, p in oracle.named_parameters(remove_duplicate=False)}
    return {"loss": loss.detach(), **gradients}


def relative_error(found, expected, names) -> float:
    """Of all values of these names together."""
    off = sum(float((found[n].float() - expected[n]).square().sum()) for n in names)
    return (off / sum(float(expected[n].square().sum()) for n in names)) ** 0.5
