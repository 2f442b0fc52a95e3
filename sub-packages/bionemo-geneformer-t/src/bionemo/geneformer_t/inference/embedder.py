"""Embeddings of cells and genes: what the encoder makes of a cell on its own.

A cell is read as a context, without any next cell; see `cell_framing`. Cells are sorted by length
inside each block of the source, packed under a budget of tokens, and put back in their order, so
that memory depends on the budget and not on the number of cells.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.inference.cell_framing import reading_of
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.inference.pooling import POOLINGS, GeneSums
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS

OnCells = Callable[[int], object]
"""Told how many more cells are done."""


@dataclass(frozen=True)
class EmbeddedBlock:
    """Consecutive cells; those that express no known gene are zeros."""

    first_row: int
    embeddings: Float[ndarray, "cell hidden"]


class Embedder:
    """A model that embeds the cells of one source, and counts what it meets on the way."""

    def __init__(
        self,
        model: NextCellModel,
        source: CountSource,
        settings: EmbeddingSettings,
        *,
        with_genes: bool = True,
    ) -> None:
        self.model = model
        self.settings = settings
        self.depth = layer_depth(settings.layer, model.config.num_hidden_layers)
        self.reader = CellReader(model, source, settings.min_mapped_counts)
        self.reading = reading_of(model)
        if settings.pooling == "cls" and not self.reading.before:
            raise ValueError(
                f"pooling='cls' takes the state of {CLS}, which the pretrained weights of this "
                f"model ({_source(model)}) do not know: its row is noise until training changes "
                "it. Use pooling='mean', as Geneformer V1's own tools do, or fine-tune first"
            )
        size, width = model.config.vocab_size, model.config.hidden_size
        self._genes = GeneSums.zeros(size, width, model.device) if with_genes else None
        self._is_gene = torch.zeros(size, dtype=torch.bool, device=model.device)
        self._is_gene[torch.from_numpy(self.reader.vocab.gene_ids)] = True

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        width: int = self.model.config.hidden_size
        return width

    def blocks(self, on_cells: OnCells = int) -> Iterator[EmbeddedBlock]:
        """The embeddings of all cells, in their order; the model is in evaluation mode meanwhile.

        Raises:
            ValueError: Values are no raw counts, or too few of them are on known genes.
        """
        first = 0
        with evaluating(self.model):
            for cells in self.reader.blocks():
                yield EmbeddedBlock(first, self._embed(cells, on_cells))
                first += len(cells)

    def gene_embeddings(
        self,
    ) -> tuple[Float[ndarray, "column hidden"], Float[ndarray, "column hidden"]]:
        """Of each column of the source: the mean over its occurrences, and its input embedding.

        NaN where the vocabulary does not know the gene, and in the first where no cell expresses
        it.
        """
        assert self._genes is not None
        table = self.model.net.bert.embeddings.word_embeddings.weight.detach().float()
        means = self._genes.means().float()
        return self._of_columns(means), self._of_columns(table)

    def gene_embeddings_of(
        self, var_names: Sequence[str]
    ) -> tuple[Float[ndarray, "gene hidden"], Float[ndarray, "gene hidden"]]:
        """The same for the genes of a `var`, which need not be the source's: counts may be `raw`'s.

        NaN also where the source does not have a gene.
        """
        found = self.gene_embeddings()
        if tuple(var_names) == self.reader.source.var_names:
            return found
        first = {name: row for row, name in reversed(list(enumerate(self.reader.source.var_names)))}
        rows = np.array([first.get(name, -1) for name in var_names], dtype=np.int64)
        nothing = np.full((1, self.width), np.nan, dtype=np.float32)
        of_means, of_table = (np.concatenate([table, nothing])[rows] for table in found)
        return of_means, of_table

    def summary(self) -> dict[str, Any]:
        """What was done, in plain values for `uns`."""
        from bionemo.geneformer_t import __version__

        return {
            "params": {
                "layer": self.settings.layer,
                "hidden_state": self.depth,
                "precision": self.model.precision,
                "pooling": self.settings.pooling,
                "genes_per_cell": self.reading.genes_per_cell,
                "special_tokens": len(self.reading.before) + len(self.reading.after),
            },
            "checkpoint": model_fingerprint(self.model),
            "vocabulary": self.reader.vocab.fingerprint,
            "version": __version__,
            "num_empty_cells": self.reader.num_empty,
            "genes_known": self.reader.num_known,
            "genes_unknown": self.reader.num_unknown,
            "counts_known": self.reader.counts_known,
        }

    @torch.inference_mode()
    def _embed(self, cells: Ragged, on_cells: OnCells) -> Float[ndarray, "cell hidden"]:
        contexts = self.reading.contexts(cells)
        filled = np.flatnonzero(cells.lengths)
        embeddings = np.zeros((len(cells), self.width), dtype=np.float32)
        for batch in batches_by_length(contexts.lengths[filled], self.settings.token_budget):
            rows = filled[batch]
            embeddings[rows] = self._embed_batch(contexts.take(rows))
            on_cells(len(rows))
        on_cells(len(cells) - len(filled))
        return embeddings

    def _embed_batch(self, contexts: Ragged) -> Float[ndarray, "cell hidden"]:
        device = self.model.device
        ids = torch.from_numpy(contexts.values).to(device)
        offsets = CellOffsets.of(torch.from_numpy(contexts.offsets).to(device))
        attend = self.model.attention()
        with self.model.computing():
            hidden = self.model.net.bert.read(ids, offsets, attend, num_layers=self.depth).float()
        is_gene = self._is_gene[ids]
        if self._genes is not None:
            self._genes.add(ids[is_gene], hidden[is_gene])
        pooled = POOLINGS[self.settings.pooling](hidden, offsets.offsets, is_gene)
        embedded: ndarray = pooled.cpu().numpy()
        return embedded

    def _of_columns(self, table: torch.Tensor) -> Float[ndarray, "column hidden"]:
        columns = np.full((self.reader.source.shape[1], self.width), np.nan, dtype=np.float32)
        encoder = self.reader.encoder
        known = encoder.is_known
        columns[known] = table.cpu().numpy()[encoder.token_of_column[known]]
        return columns


def _source(model: NextCellModel) -> str:
    return model.start.source if model.start else "unknown"


def layer_depth(layer: int, num_layers: int) -> int:
    """How many layers to run for a hidden state: 0 none, `num_layers` all.

    Raises:
        ValueError: The model has no such layer.
    """
    depth = layer if layer >= 0 else num_layers + 1 + layer
    if not 0 <= depth <= num_layers:
        raise ValueError(
            f"layer must be between {-num_layers - 1} and {num_layers} for a model of "
            f"{num_layers} layers (0 the input embeddings, -1 the last layer); got {layer}"
        )
    return depth


def batches_by_length(
    lengths: Int[ndarray, " cell"], token_budget: int
) -> list[Int[ndarray, " batch"]]:
    """Cells in batches of similar length, the longest first.

    A batch of k cells holds at most `token_budget` tokens even where they are padded to the longest
    of them; a cell that alone exceeds it has a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, token_budget // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
