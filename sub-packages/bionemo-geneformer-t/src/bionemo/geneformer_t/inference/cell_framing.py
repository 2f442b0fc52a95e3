"""How a model reads a cell on its own: which special tokens stand around it, and how much fits.

A trained model reads `[CLS] genes [SEP]`. Geneformer V1 was pretrained without either token; their
rows in a model that only starts from it are noise until training has changed them, so such a model
reads the genes alone, as Geneformer's own tools do.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.inference.rank_distributions import required_vocab
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import CLS, SEP


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The frame of a cell and its longest length."""

    before: tuple[int, ...]
    """`[CLS]`, or nothing."""
    after: tuple[int, ...]
    """`[SEP]`, or nothing."""
    genes_per_cell: int
    """Genes that are read, from the highest rank."""

    def context(self, genes: Int[ndarray, " gene"]) -> Int[ndarray, " context_token"]:
        """A cell as the model reads it."""
        kept = genes[: self.genes_per_cell]
        return np.concatenate([self.before, kept, self.after]).astype(np.int64)


def reading_of(model: TemporalGeneformerModel) -> Reading:
    """How a model was trained to read a cell; all its positions where it met no data yet.

    Raises:
        ValueError: The model has no vocabulary.
    """
    vocab, noise = required_vocab(model), untrained_tokens(model)
    before = () if CLS in noise else (vocab.ids[CLS],)
    after = () if SEP in noise else (vocab.ids[SEP],)
    room = model.config.max_position_embeddings - len(before) - len(after)
    settings = model.pair_settings
    kept = room if settings is None else settings.genes_per_cell
    return Reading(before=before, after=after, genes_per_cell=kept)


def untrained_tokens(model: TemporalGeneformerModel) -> frozenset[str]:
    """Tokens that pretrained weights lacked, in a model that was not trained since."""
    if model.start is None or model.provenance is not None:
        return frozenset()
    return frozenset(model.start.initialised)
