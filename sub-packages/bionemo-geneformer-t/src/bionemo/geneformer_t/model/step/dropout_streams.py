"""Dropout that neither restarts nor other draws can change.

Dropout draws from PyTorch's global generator, which knows nothing of epochs. Seeded anew before
each micro-batch, it becomes a pure function of (seed, epoch, batch, rank): a run that was killed
goes on with the very dropout it would have had, and a checkpoint needs no generator's state, of no
rank.
"""

import hashlib

import torch


def seed_dropout(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Set the global generators of PyTorch, on every device, for one micro-batch of one rank."""
    words = hashlib.blake2b(f"{seed} {epoch} {batch} {rank}".encode(), digest_size=8)
    torch.manual_seed(int.from_bytes(words.digest(), "little"))
