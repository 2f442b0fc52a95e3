"""From a data folder to a TemporalBatch: caches, rank tokens, successors, masked pairs, batches."""
