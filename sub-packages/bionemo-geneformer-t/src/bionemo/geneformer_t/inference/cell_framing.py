"""How a model reads a cell on its own: which special tokens frame it, and how much fits.

A trained model reads `[CLS] genes [SEP]`. Geneformer V1 was pretrained without either token; their
rows in a model that only starts from it are noise until training has changed them, so such a model
reads the genes alone, as Geneformer's own tools do.
"""

from dataclasses import dataclass

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.ragged import Ragged
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

    def contexts(self, cells: Ragged) -> Ragged:
        """Cells as the model reads them."""
        return cells.truncated(self.genes_per_cell).framed(self.before, self.after)


def reading_of(model: NextCellModel) -> Reading:
    """How a model was trained to read a cell; all its positions if it was not trained on data.

    Raises:
        ValueError: The model has no vocabulary.
    """
    vocab, noise = model.required_vocab(), untrained_tokens(model)
    before = () if CLS in noise else (vocab.ids[CLS],)
    after = () if SEP in noise else (vocab.ids[SEP],)
    room = model.config.max_position_embeddings - len(before) - len(after)
    settings = model.pair_settings
    kept = room if settings is None else settings.genes_per_cell
    return Reading(before=before, after=after, genes_per_cell=kept)


def untrained_tokens(model: NextCellModel) -> frozenset[str]:
    """Tokens that pretrained weights lacked, in a model that was not trained since."""
    if model.start is None or model.provenance is not None:
        return frozenset()
    return frozenset(model.start.initialised)
