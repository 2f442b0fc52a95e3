"""Dropout as a pure function of (seed, epoch, batch, rank).

Dropout draws from PyTorch's global generator, which is seeded before each micro-batch: a run that
was killed resumes with the same dropout, and a checkpoint needs no state of a generator.
"""

import hashlib

import torch


def seed_dropout(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Set the global generators of PyTorch, on every device, for one micro-batch of one rank."""
    words = hashlib.blake2b(f"{seed} {epoch} {batch} {rank}".encode(), digest_size=8)
    torch.manual_seed(int.from_bytes(words.digest(), "little"))
