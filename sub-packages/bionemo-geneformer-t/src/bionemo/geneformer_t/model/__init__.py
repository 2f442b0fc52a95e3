"""The isolated encoder, its attention backends and the LightningModule."""
