"""Training runs: settings and data in; a folder with checkpoints, metrics and config.yaml out."""
