"""Builders of neighbor graphs, one file each, and leak-safe splits."""
