"""Geneformer-T: fine-tune Geneformer to predict the next cell of a developmental trajectory."""

__version__ = "0.1.0"
