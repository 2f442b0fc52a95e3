"""Predictors without a network, one file each, fitted on the training split alone."""
