"""Functions on AnnData objects that apply a trained model, in scanpy's manner.

In: an AnnData object with raw counts and a model. Out: arrays in its `obsm`, `varm` and `uns`.
"""

from bionemo.geneformer_t.tl.embeddings import embed

__all__ = ["embed"]
