"""Where next cells are expected along canonical axes, once a gene of the current cell is deleted.

Deleting a gene takes its normalised rank away and moves all genes behind it up by one rank; if the
cell has more genes than count, the first one beyond moves in. The points are linear in normalised
ranks, so that the change is a sum that is known without approximation.
"""

import numpy as np
import torch
from jaxtyping import Float, Integer
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_weights
from bionemo.geneformer_t.ragged import Ragged


def expected_points(model: NextCellModel, cells: Ragged) -> Float[Tensor, "cell axis"]:
    """The points of cells; without columns for a model that has no canonical axes.

    Args:
        model: With axes or without.
        cells: Genes of each in rank order.
    """
    if model.axes is None:
        return torch.zeros(len(cells), 0, device=model.device)
    return torch.from_numpy(model.axes.expected(cells)).to(model.device)


def deleted_points(
    model: NextCellModel, genes: Integer[ndarray, " gene"]
) -> Float[Tensor, "read_gene axis"]:
    """How the point of a cell changes by deleting each gene that the model reads.

    Args:
        model: With axes or without.
        genes: Of the cell in rank order, with the first one beyond what is read, if there is one.
    """
    if model.axes is None:
        return torch.zeros(len(genes), 0, device=model.device)
    num_ranks = model.axes.num_ranks
    genes = genes[: num_ranks + 1]
    weights = np.append(rank_weights(num_ranks), 0.0)[: len(genes)]
    maps = model.axes.of_current[genes].astype(np.float64)
    moves = np.append(-np.diff(weights), 0.0)[:, None] * np.append(maps[1:], maps[:1] * 0, axis=0)
    behind = np.flip(np.cumsum(np.flip(moves, axis=0), axis=0), axis=0)
    changes = (behind - weights[:, None] * maps)[:num_ranks]
    return torch.from_numpy(changes.astype(np.float32)).to(model.device)
