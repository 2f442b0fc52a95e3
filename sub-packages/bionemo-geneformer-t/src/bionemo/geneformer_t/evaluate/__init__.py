"""Predictors beside baselines: pairs of cells in, scores with intervals and verdicts out."""
