"""Figures, one a file: arrays in, a Matplotlib figure out."""
