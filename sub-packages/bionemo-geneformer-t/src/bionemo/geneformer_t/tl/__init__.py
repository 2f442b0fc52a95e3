"""Tools on AnnData objects, in scanpy's manner."""

from bionemo.geneformer_t.tl.embeddings import embed

__all__ = ["embed"]
