"""A small random network in float64, cells around the length that it reads, and exact effects."""

import numpy as np
import torch
from random_axes import random_axes

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.prediction import all_masked
from bionemo.geneformer_t.perturbation.deleted_points import expected_points
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab

RANKS = 7
GENES_READ = 10


def small_model(
    layers: int = 2, scheme: str = "restarted", *, with_axes: bool = False
) -> NextCellModel:
    """Of 30 genes, with large random weights."""
    torch.manual_seed(0)
    vocab = GeneVocab.of_genes({f"g{i}": 1.0 for i in range(30)})
    model = NextCellModel(
        BioBertConfig(
            vocab_size=len(vocab) + 3, hidden_size=16, num_hidden_layers=layers,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=40,
            initializer_range=0.4, rank_knots=5, position_scheme=scheme,
        )
    )  # fmt: skip
    model.adopt(vocab, PairSettings(seq_length=2 * GENES_READ + 3))
    model.axes = random_axes(len(vocab), GENES_READ) if with_axes else None
    return model.double().eval()


def readout(log_probs: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Three numbers of a cell, none linear in the log-probabilities, and more along axes."""
    weights = torch.linspace(1, 0, log_probs.shape[1], dtype=log_probs.dtype)
    expected = torch.einsum("r,crg->cg", weights, log_probs.exp())
    scores = (log_probs[:, :5, :5].sum(dim=1) / 10).softmax(-1)
    of_axes = points.square().sum(dim=1, keepdim=True).to(scores)
    return torch.cat([expected[:, [3, 8]], scores[:, :1] + 0.01 * of_axes], dim=1)


def cells_of(model: NextCellModel) -> Ragged:
    """Cells of fewer genes than are read, of as many, and of more."""
    rng = np.random.default_rng(0)
    genes = model.required_vocab().gene_ids
    return Ragged.of([rng.choice(genes, n, replace=False) for n in (4, 10, 17, 11, 2)])


def values_of(model: NextCellModel, cells: Ragged) -> np.ndarray:
    """The readouts of cells as they are."""
    vocab = model.required_vocab()
    with torch.no_grad():
        logits = model.logits(all_masked(cells.truncated(GENES_READ), RANKS, vocab))
    log_probs = logits[:, vocab.gene_ids].log_softmax(-1)
    points = expected_points(model, cells.truncated(GENES_READ))
    return readout(log_probs.unflatten(0, (len(cells), RANKS)), points).numpy()


def exact_effects(model: NextCellModel, cells: Ragged) -> np.ndarray:
    """Every gene that is read is deleted, and every cell read again."""
    effects = []
    for genes, value in zip(cells.rows(), values_of(model, cells), strict=True):
        edited = [np.delete(genes, rank) for rank in range(min(len(genes), GENES_READ))]
        effects.append(values_of(model, Ragged.of(edited)) - value)
    return np.concatenate(effects)
