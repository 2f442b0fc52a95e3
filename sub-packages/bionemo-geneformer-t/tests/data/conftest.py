"""Folders of a few cells, right or wrong in one respect."""

from small_splits import counts, own_cache_place, vocab, write_split

__all__ = ["counts", "own_cache_place", "vocab", "write_split"]
