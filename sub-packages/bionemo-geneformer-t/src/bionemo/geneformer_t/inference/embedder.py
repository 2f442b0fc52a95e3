"""Embeddings of cells and genes: what the encoder makes of a cell on its own.

A cell is read as a context, without any next cell; see `cell_framing`. Cells are sorted by length
inside each block of the source, packed under a budget of tokens, and put back in their order, so
that memory depends on the budget and not on the number of cells.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.features import left_out_notes
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.data.token_encoder import TokenEncoder, why_left_out
from bionemo.geneformer_t.inference.cell_framing import reading_of
from bionemo.geneformer_t.inference.checkpoint import settings_of
from bionemo.geneformer_t.inference.known_counts import check_mapped_counts
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.inference.pooling import POOLINGS, GeneSums
from bionemo.geneformer_t.inference.rank_distributions import required_vocab
from bionemo.geneformer_t.model.attention.cell_offsets import Groups
from bionemo.geneformer_t.model.attention.choose import choose_attention
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
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
        model: TemporalGeneformerModel,
        source: CountSource,
        settings: EmbeddingSettings,
        *,
        with_genes: bool = True,
    ) -> None:
        self.model = model
        self.settings = settings
        self.vocab = required_vocab(model)
        self.depth = layer_depth(settings.layer, model.config.num_hidden_layers)
        self.source = source
        self.encoder = TokenEncoder(source, source.where, self.vocab, settings_of(model))
        self.counts_seen = 0.0
        """Total count of the cells so far, of genes alone."""
        self._counts_of_column = np.zeros(source.shape[1])
        self.counts_known = 0.0
        """Those of them on genes of the vocabulary."""
        self.reading = reading_of(model)
        if settings.pooling == "cls" and not self.reading.before:
            raise ValueError(
                f"pooling='cls' takes the state of {CLS}, which the pretrained weights of this "
                f"model ({_source(model)}) do not know: its row is noise until training changes "
                "it. Use pooling='mean', as Geneformer V1's own tools do, or fine-tune first"
            )
        self.num_empty = 0
        """Cells so far that express no gene of the vocabulary."""
        size, width = model.config.vocab_size, model.config.hidden_size
        self._genes = GeneSums.zeros(size, width, model.device) if with_genes else None
        self._is_gene = torch.zeros(size, dtype=torch.bool, device=model.device)
        self._is_gene[torch.from_numpy(self.vocab.gene_ids)] = True

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
        training = self.model.training
        self.model.eval()
        try:
            for block in self.source.blocks():
                cells = self._encode(block.counts)
                self._check_coverage(block.first_row + len(cells))
                yield EmbeddedBlock(block.first_row, self._embed(cells, on_cells))
        finally:
            self.model.train(training)

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
        if tuple(var_names) == self.source.var_names:
            return found
        first = {name: row for row, name in reversed(list(enumerate(self.source.var_names)))}
        rows = np.array([first.get(name, -1) for name in var_names], dtype=np.int64)
        nothing = np.full((1, self.width), np.nan, dtype=np.float32)
        of_means, of_table = (np.concatenate([table, nothing])[rows] for table in found)
        return of_means, of_table

    def summary(self) -> dict[str, Any]:
        """What was done, in plain values for `uns`."""
        from bionemo.geneformer_t import __version__

        known = int(self.encoder.is_known.sum())
        return {
            "params": {
                "layer": self.settings.layer,
                "hidden_state": self.depth,
                "pooling": self.settings.pooling,
                "genes_per_cell": self.reading.genes_per_cell,
                "special_tokens": len(self.reading.before) + len(self.reading.after),
            },
            "checkpoint": model_fingerprint(self.model),
            "vocabulary": self.vocab.fingerprint,
            "version": __version__,
            "num_empty_cells": self.num_empty,
            "genes_known": known,
            "genes_unknown": int(self.encoder.is_counted.sum()) - known,
            "counts_known": self._share(),
        }

    def notes(self) -> list[str]:
        """What was left out because it is no gene of these cells, and the share of its counts."""
        counts = self._counts_of_column
        if self.source.removed is not None:
            counts = counts + self.source.removed.counts
        reasons = why_left_out(self.encoder.names, self.encoder.token_of_column)
        return left_out_notes(self.source.where, self.source.gene_names, reasons, counts)

    def _encode(self, counts: sp.csr_array) -> list[Int[ndarray, " _"]]:
        counted = self.encoder.is_counted[counts.indices]
        self.counts_seen += float(counts.data[counted].sum(dtype=np.float64))
        known = self.encoder.is_known[counts.indices]
        self.counts_known += float(counts.data[known].sum(dtype=np.float64))
        self._counts_of_column += np.bincount(
            counts.indices, counts.data, minlength=len(self._counts_of_column)
        )
        lengths = np.diff(counts.indptr).astype(np.int64)
        return self.encoder.encode(counts.data, counts.indices, lengths).rows()

    @torch.inference_mode()
    def _embed(
        self, cells: list[Int[ndarray, " _"]], on_cells: OnCells
    ) -> Float[ndarray, "cell hidden"]:
        contexts = [self.reading.context(genes) for genes in cells]
        filled = np.array([i for i, genes in enumerate(cells) if len(genes)], dtype=np.int64)
        self.num_empty += len(cells) - len(filled)
        embeddings = np.zeros((len(cells), self.width), dtype=np.float32)
        lengths = np.array([len(contexts[i]) for i in filled], dtype=np.int64)
        for batch in batches_by_length(lengths, self.settings.token_budget):
            rows = filled[batch]
            embeddings[rows] = self._embed_batch([contexts[i] for i in rows])
            on_cells(len(rows))
        on_cells(len(cells) - len(filled))
        return embeddings

    def _embed_batch(self, contexts: list[Int[ndarray, " _"]]) -> Float[ndarray, "cell hidden"]:
        device = self.model.device
        ids = torch.from_numpy(np.concatenate(contexts)).to(device)
        bounds = np.cumsum([0, *map(len, contexts)])
        groups = Groups.of(torch.from_numpy(bounds).to(device))
        attend = choose_attention(self.model.hparams["attention_backend"], device)
        hidden = self.model.net.bert.read(ids, groups, attend, num_layers=self.depth).float()
        is_gene = self._is_gene[ids]
        if self._genes is not None:
            self._genes.add(ids[is_gene], hidden[is_gene])
        pooled = POOLINGS[self.settings.pooling](hidden, groups.offsets, is_gene)
        embedded: ndarray = pooled.cpu().numpy()
        return embedded

    def _of_columns(self, table: torch.Tensor) -> Float[ndarray, "column hidden"]:
        columns = np.full((self.source.shape[1], self.width), np.nan, dtype=np.float32)
        known = self.encoder.is_known
        columns[known] = table.cpu().numpy()[self.encoder.token_of_column[known]]
        return columns

    def _share(self) -> float:
        return self.counts_known / self.counts_seen if self.counts_seen else 0.0

    def _check_coverage(self, num_cells: int) -> None:
        if self.counts_seen:
            check_mapped_counts(
                self._share(),
                self.settings.min_mapped_counts,
                self.source.gene_names,
                self.encoder.is_known | ~self.encoder.is_counted,
                self.vocab,
                f"the first {num_cells:,} cells",
            )


def _source(model: TemporalGeneformerModel) -> str:
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
