"""The isolated network, its kNN memory, and the LightningModule: TemporalBatch in, loss out."""
