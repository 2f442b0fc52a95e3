"""Changes of the expected normalised rank of every gene in the next cell, for each target.

The ranks are those of `inference.expected_ranks`, over as many ranks as the readouts ask for, by
the network alone.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.expected_ranks import expected_ranks
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.ragged import Ragged

_NUMBERS_AT_ONCE = 1 << 24


def rank_changes(
    model: NextCellModel, edits: CellEdits, num_ranks: int, on_contexts: OnCells = int
) -> tuple[Float[ndarray, "target gene"], Int[ndarray, " target"]]:
    """Mean change over the cells that an edit changes, and their number.

    Args:
        model: Trained on next cells.
        edits: Cells and targets; NaN for targets that change no cell.
        num_ranks: Ranks that count.
        on_contexts: Told how many more edited cells are done.
    """
    gene_ids = model.required_vocab().gene_ids
    size = max(1, _NUMBERS_AT_ONCE // (num_ranks * model.config.vocab_size))
    read = edits.cells.truncated(edits.genes_read)
    with evaluating(model):
        before = np.zeros((len(read), len(gene_ids)), dtype=np.float32)
        for part in np.array_split(edits.order, max(1, -(-len(edits.order) // size))):
            before[part] = _expected(model, read.take(part), read.lengths[part], num_ranks)
        sums = np.zeros((len(edits.targets), len(gene_ids)))
        cells = np.zeros(len(edits.targets), dtype=np.int64)
        for batch in edits.batches(size):
            lengths = read.lengths[batch.cells]
            after = _expected(model, batch.contexts, lengths, num_ranks)
            np.add.at(sums, batch.targets, after.astype(np.float64) - before[batch.cells])
            np.add.at(cells, batch.targets, 1)
            on_contexts(len(batch.cells))
    number = cells[:, None]
    return np.divide(sums, number, out=np.full(sums.shape, np.nan), where=number > 0), cells


@torch.inference_mode()
def _expected(
    model: NextCellModel, contexts: Ragged, lengths: Int[ndarray, " context"], num_ranks: int
) -> Float[ndarray, "context gene"]:
    """As many ranks are taken as the cell had genes before it was edited."""
    asked = model.rank_distributions(contexts, num_ranks, use_memory=False)
    return expected_ranks(asked, lengths, model.required_vocab().gene_ids)
