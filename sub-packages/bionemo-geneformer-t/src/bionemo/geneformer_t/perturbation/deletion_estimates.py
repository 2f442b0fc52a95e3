"""Estimates of what deleting each gene of a cell does to readouts, for a screen of all genes.

To first order the effects come from one backward pass for each readout (`gene_gates.py`). Their
errors change slowly from a gene to those that it is ranked next to, because most of them come from
the genes behind, all of which move up. So a few genes of each cell are deleted exactly, and the
error there, with straight lines between, is taken off the others.

The network is used alone, without kNN memory.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.model.prediction import all_masked, check_lengths
from bionemo.geneformer_t.perturbation.cell_edits import canonical_order
from bionemo.geneformer_t.perturbation.deleted_points import expected_points
from bionemo.geneformer_t.perturbation.gene_gates import (
    Readout,
    first_order_effects,
    gene_log_probs_at,
)
from bionemo.geneformer_t.ragged import Ragged

CELLS_AT_ONCE = 16
EXACT_GENES = 8
"""Genes of each cell that are deleted exactly, by default."""
_NUMBERS_AT_ONCE = 1 << 22
"""Log-probabilities of a batch of cells, at most: 16 MiB, or those of one cell."""
_BEND = 4.0
"""Exactly deleted genes are e^4 times denser at the top, where effects and errors are largest."""


@dataclass(frozen=True, kw_only=True)
class DeletionEstimates:
    """What deleting each gene that the model reads is estimated to do in each cell."""

    values: Float[ndarray, "cell readout"]
    """The readouts of the cells as they are; NaN for cells without genes."""
    genes: Ragged
    """Tokens of the genes that are read of each cell, in rank order."""
    effects: Float[ndarray, "read_gene readout"]
    """Readout without the gene minus readout with it, for each of `genes.values`; NaN for the only
    gene of a cell, without which there is nothing to read."""


def deletion_estimates(
    model: NextCellModel,
    cells: Ragged,
    num_ranks: int,
    readout: Readout,
    *,
    exact_genes: int = EXACT_GENES,
    cells_at_once: int = CELLS_AT_ONCE,
    on_cells: OnCells = int,
) -> DeletionEstimates:
    """Estimate the effect of deleting each gene of each cell.

    Args:
        model: Trained on next cells.
        cells: All known genes of each in rank order, also those beyond what the model reads.
        num_ranks: Ranks of the next cell that the readouts are of.
        readout: See `Readout`.
        exact_genes: Genes of each cell that are deleted exactly; 0 for first order alone.
        cells_at_once: Cells in a batch, at most; fewer where their log-probabilities are many.
        on_cells: Told how many more cells are done.

    Raises:
        ValueError: The model was not trained on next cells, or has no positions for so many genes
            or ranks; or no cell has a gene.
    """
    model.require_next_cells()
    vocab, most = model.required_vocab(), genes_per_cell(model)
    read, rows = cells.truncated(most), cells.truncated(most + 1).rows()
    longest = int(read.lengths.max(initial=0))
    if not longest:
        raise ValueError(
            f"none of the {len(cells)} cells has a gene that could be deleted; give current cells "
            "that express genes of the model's vocabulary"
        )
    check_lengths(num_ranks, longest, model.config, vocab)
    at_once = max(1, min(cells_at_once, _NUMBERS_AT_ONCE // (num_ranks * len(vocab.genes))))
    # by length and genes, so that the order of the cells changes no batch and thus no number
    ordered = canonical_order(cells.truncated(most + 1)).tolist()
    order = [row for row in ordered if len(rows[row])]
    values: dict[int, Float[ndarray, " readout"]] = {}
    effects: dict[int, Float[ndarray, "gene readout"]] = {}
    with evaluating(model):
        for start in range(0, len(order), at_once):
            batch = order[start : start + at_once]
            of_batch = Ragged.of([rows[row] for row in batch])
            now = _values(model, of_batch.truncated(most), num_ranks, readout)
            found = first_order_effects(model, of_batch, num_ranks, readout)
            for row, value, linear in zip(batch, now, found, strict=True):
                values[row], effects[row] = value, linear.cpu().numpy()
                if len(rows[row]) == 1:
                    effects[row][:] = np.nan
                    continue
                ranks = exact_ranks(len(effects[row]), exact_genes)
                for_each = np.split(ranks, range(at_once, len(ranks), at_once))
                without = [
                    _values_without(model, rows[row], part, num_ranks, readout)
                    for part in for_each
                    if len(part)
                ]
                if without:
                    effects[row] = corrected(effects[row], ranks, np.concatenate(without) - value)
            on_cells(len(batch))
    on_cells(len(cells) - len(order))
    nothing = np.full_like(values[order[0]], np.nan)
    return DeletionEstimates(
        values=np.stack([values.get(row, nothing) for row in range(len(cells))]),
        genes=read,
        effects=np.concatenate([effects[row] for row in sorted(effects)]),
    )


def exact_ranks(num_genes: int, number: int) -> Int[ndarray, " rank"]:
    """Ranks from 0 of the genes that are deleted exactly: first, last and some between."""
    along = np.expm1(_BEND * np.linspace(0, 1, number)) / np.expm1(_BEND)
    return np.unique(np.rint(along * (num_genes - 1)).astype(np.int64))


def corrected(
    estimates: Float[ndarray, "gene readout"],
    ranks: Int[ndarray, " exact"],
    exact: Float[ndarray, "exact readout"],
) -> Float[ndarray, "gene readout"]:
    """Estimates less their error, which is known at some ranks and interpolated between them."""
    every = np.arange(len(estimates))
    errors = (estimates[ranks] - exact).T
    off = np.stack([np.interp(every, ranks, error) for error in errors], axis=1)
    better = (estimates - off).astype(estimates.dtype)
    better[ranks] = exact
    return better


def _values_without(
    model: NextCellModel,
    genes: Int[ndarray, " gene"],
    ranks: Int[ndarray, " exact"],
    num_ranks: int,
    readout: Readout,
) -> Float[ndarray, "exact readout"]:
    """The readouts of a cell without the gene at each of some ranks."""
    edited = Ragged.of([np.delete(genes, rank) for rank in ranks])
    return _values(model, edited.truncated(genes_per_cell(model)), num_ranks, readout)


@torch.no_grad()
def _values(
    model: NextCellModel, cells: Ragged, num_ranks: int, readout: Readout
) -> Float[ndarray, "cell readout"]:
    batch = all_masked(cells, num_ranks, model.required_vocab()).to(model.device)
    hidden = model.net.hidden(batch, model.attention())
    log_probs = gene_log_probs_at(model, hidden, batch.scored_ranks, len(cells))
    points = expected_points(model, cells)
    values: Float[ndarray, "cell readout"] = readout(log_probs, points).cpu().numpy()
    return values
