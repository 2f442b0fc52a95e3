"""Floating-point operations of a training step, counted from the sizes.

Only matrix products are counted (two operations per multiply-add), forward once and backward
twice; recomputation inside a backend is its own affair and is not credited.
"""

import numpy as np

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig

PER_MULTIPLY_ADD = 3 * 2
"""Forward and twice that backward; an addition and a multiplication."""


def needed(config: BioBertConfig, batch: TemporalBatch) -> float:
    """What the loss and its gradients need: the isolation rule taken at its word."""
    contexts = batch.context_offsets.diff().numpy().astype(np.float64)
    scored_of_next = batch.scored_offsets.diff().numpy().astype(np.float64)
    scored = np.bincount(batch.next_cell_context.numpy(), scored_of_next, minlength=len(contexts))
    return sum(needed_parts(config, contexts, scored).values())


def needed_parts(
    config: BioBertConfig, contexts: np.ndarray, scored: np.ndarray
) -> dict[str, float]:
    """The same by part of the model.

    Args:
        config: Sizes of the model.
        contexts: Tokens of each context, `[CLS]` and `[SEP]` included.
        scored: Scored positions of all next cells of each context.
    """
    hidden, inner, depth = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    n, s = contexts.sum(), scored.sum()
    read_and_write = 2 * hidden * hidden + 2 * hidden * inner  # query, output, feed-forward
    keys_and_values = 2 * hidden * hidden
    pairs_of_contexts, pairs_of_scored = (contexts**2).sum(), (contexts * scored).sum()
    parts = {
        "layers on tokens": depth * n * keys_and_values
        + ((depth - 1) * n + depth * s) * read_and_write,
        "attention": 2 * hidden * ((depth - 1) * pairs_of_contexts + depth * pairs_of_scored),
        "vocabulary head": s * (hidden * hidden + hidden * config.vocab_size),
    }
    return {part: PER_MULTIPLY_ADD * float(number) for part, number in parts.items()}


def textbook(config: BioBertConfig, pairs: int, length: int) -> float:
    """What the textbook model spends on a batch padded to a length."""
    return sum(textbook_parts(config, pairs, length).values())


def textbook_parts(config: BioBertConfig, pairs: int, length: int) -> dict[str, float]:
    """The same by part of the model."""
    hidden, inner, depth = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    parts = {
        "layers on tokens": depth * length * (4 * hidden * hidden + 2 * hidden * inner),
        "attention": depth * 2 * hidden * length**2,
        "vocabulary head": length * (hidden * hidden + hidden * config.vocab_size),
    }
    return {part: PER_MULTIPLY_ADD * float(pairs * number) for part, number in parts.items()}
