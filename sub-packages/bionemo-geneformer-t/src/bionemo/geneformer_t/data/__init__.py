"""From counts to packed batches: SCDL store, rank tokens, masked pairs."""
