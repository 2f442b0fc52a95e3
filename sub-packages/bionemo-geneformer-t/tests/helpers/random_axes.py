"""Canonical axes with random maps, for models that were never trained."""

import numpy as np

from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes


def random_axes(vocab_size: int, num_ranks: int, seed: int = 0, number: int = 3) -> CanonicalAxes:
    """Maps whose points have a length of about one."""
    rng = np.random.default_rng(seed)
    shape = (vocab_size, number)
    return CanonicalAxes(
        of_current=rng.normal(scale=0.3, size=shape).astype(np.float32),
        current_shift=rng.normal(scale=0.3, size=number).astype(np.float32),
        of_next=rng.normal(scale=0.3, size=shape).astype(np.float32),
        next_shift=rng.normal(scale=0.3, size=number).astype(np.float32),
        correlations=np.linspace(0.8, 0.3, number).astype(np.float32),
        num_ranks=num_ranks,
        penalty=1.0,
    )
