"""Learning rate over the steps of a run: linear warm-up, then a cosine down to zero."""

import math

DEFAULT_WARMUP_SHARE = 0.1
LONGEST_DEFAULT_WARMUP = 2_000


def default_warmup(total_steps: int) -> int:
    """A tenth of the run, at most 2,000 steps."""
    return min(int(total_steps * DEFAULT_WARMUP_SHARE), LONGEST_DEFAULT_WARMUP)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """The factor on the peak learning rate at a step, from 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
