"""From a data folder to batches of training pairs.

In: `train`, `val` and `test`, each with data.h5ad (or an SCDL archive) and neighbors.json. Cells
are converted once into a cache, encoded as rank-value tokens, paired with successors, masked and
packed. Out: `TemporalBatch`, by `TemporalGeneformerDataModule`.
"""
