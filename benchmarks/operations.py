"""Floating-point operations of a training step, counted from the sizes.

Only matrix products are counted (two operations per multiply-add), forward once and backward
twice; recomputation inside a backend is its own affair and is not credited.
"""

import numpy as np

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig


def needed(config: BioBertConfig, batch: TemporalBatch) -> float:
    """What the loss and its gradients need: the isolation rule taken at its word."""
    hidden, inner, depth = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    contexts = batch.context_offsets.diff().numpy().astype(np.float64)
    scored_of_next = batch.scored_offsets.diff().numpy().astype(np.float64)
    of_context = batch.next_cell_context.numpy()
    scored = np.bincount(of_context, scored_of_next, minlength=len(contexts))
    n, s = contexts.sum(), scored.sum()
    read_and_write = 2 * hidden * hidden + 2 * hidden * inner  # query, output, feed-forward
    remember = 2 * hidden * hidden  # key, value
    multiply_adds = (
        depth * n * remember
        + (depth - 1) * (n * read_and_write + 2 * hidden * (contexts**2).sum())
        + depth * (s * read_and_write + 2 * hidden * (contexts * scored).sum())
        + s * (hidden * hidden + hidden * config.vocab_size)
    )
    return 3 * 2 * float(multiply_adds)


def textbook(config: BioBertConfig, pairs: int, length: int) -> float:
    """What the textbook model spends on a batch padded to a length."""
    hidden, inner = config.hidden_size, config.intermediate_size
    layer = length * (4 * hidden * hidden + 2 * hidden * inner) + 2 * hidden * length**2
    head = length * (hidden * hidden + hidden * config.vocab_size)
    return 3 * 2 * float(pairs * (config.num_hidden_layers * layer + head))
