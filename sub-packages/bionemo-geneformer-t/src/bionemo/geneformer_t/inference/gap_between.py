"""How long is it from one cell to another? The time gap under which the later one is likeliest.

A context is encoded once, and its later cell is scored at every gap of a grid. Ranks of a cell are
not independent, so that the sum of their log-probabilities is too sure of itself: it is multiplied
by a factor below 1, which is fitted on validation pairs. The prior is how often training drew the
gaps of the grid.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.model.prediction import all_masked, gene_log_probs
from bionemo.geneformer_t.model.time_gap import TrainedGaps
from bionemo.geneformer_t.ragged import Ragged

NUM_RANKS = 64
"""Ranks of the later cell that count, at most."""
GRID_SIZE = 33
"""Gaps of a grid, where training had more different ones."""
_ROWS_AT_ONCE = 4_096
"""Positions whose log-probabilities over the vocabulary are held at once."""
_PRIOR_FLOOR = 0.05
"""Fraction of the prior that is spread evenly over the grid."""
SHARPNESS = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Factors of log-likelihoods to choose from."""


@dataclass(frozen=True, kw_only=True)
class GapEstimates:
    """What is known of the time between the cells of some pairs."""

    grid: Float[ndarray, " gap"]
    """Gaps, ascending."""
    probabilities: Float[ndarray, "pair gap"]
    """Of each gap of the grid, given both cells; they sum to 1."""
    unit: str

    @property
    def most_probable(self) -> Float[ndarray, " pair"]:
        """The gap of the highest probability."""
        found: ndarray = self.grid[self.probabilities.argmax(axis=1)]
        return found

    @property
    def median(self) -> Float[ndarray, " pair"]:
        """The gap with half of the probability on both sides, of the least expected error."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> Float[ndarray, " pair"]:
        """The shortest gap of the grid up to which so much of the probability is."""
        at = (self.probabilities.cumsum(axis=1) < level - 1e-12).sum(axis=1)
        found: ndarray = self.grid[np.minimum(at, len(self.grid) - 1)]
        return found


def grid_of(trained: TrainedGaps) -> Float[ndarray, " gap"]:
    """The gaps to choose from: those of training where they are few, else evenly by logarithm."""
    distinct = np.unique(trained.quantiles)
    if len(distinct) <= GRID_SIZE:
        return distinct
    return np.geomspace(trained.shortest, trained.longest, GRID_SIZE)


def gaps_between(
    model: NextCellModel,
    current: Ragged,
    later: Ragged,
    *,
    sharpness: float | None = None,
    on_cells: OnCells = int,
) -> GapEstimates:
    """The time gap of each pair of cells.

    Args:
        model: Trained with time gaps.
        current: Known genes of each current cell in rank order, without special tokens.
        later: The same of the later cell of each.
        sharpness: Factor of the log-likelihood; by default that of the checkpoint.
        on_cells: Told how many more pairs are done.

    Raises:
        ValueError: The model was trained without gaps, the numbers of cells differ, or one has no
            known gene.
    """
    trained = model.required_gaps()
    grid = grid_of(trained)
    scores = gap_scores(model, current, later, grid, on_cells=on_cells)
    factor = trained.sharpness if sharpness is None else sharpness
    return GapEstimates(
        grid=grid,
        probabilities=posterior(scores, prior_of(trained, grid), factor),
        unit=trained.unit,
    )


def gap_scores(
    model: NextCellModel,
    current: Ragged,
    later: Ragged,
    grid: Float[ndarray, " gap"],
    *,
    on_cells: OnCells = int,
) -> Float[ndarray, "pair gap"]:
    """Log-likelihood of each later cell at each gap, in nats over the ranks that count.

    Args:
        model: Trained with time gaps.
        current: Known genes of each current cell in rank order.
        later: The same of the later cells.
        grid: Gaps in the model's unit.
        on_cells: Told how many more pairs are done.

    Raises:
        ValueError: As `gaps_between` says.
    """
    model.require_next_cells()
    model.required_gaps()
    if len(current) != len(later):
        raise ValueError(
            f"each current cell needs one later cell; got {len(current)} and {len(later)}"
        )
    empty = int((current.lengths == 0).sum() + (later.lengths == 0).sum())
    if empty:
        raise ValueError(f"{empty} cells have no gene of the model's vocabulary; leave them out")
    scores = np.empty((len(current), len(grid)))
    with evaluating(model), torch.inference_mode():
        for pair in range(len(current)):
            rows = np.array([pair])
            scores[pair] = _scores_of(model, current.take(rows), later.take(rows).values, grid)
            on_cells(1)
    return scores


def _scores_of(
    model: NextCellModel,
    context: Ragged,
    genes: Int[ndarray, " rank"],
    grid: Float[ndarray, " gap"],
) -> Float[ndarray, " gap"]:
    vocab = model.required_vocab()
    room = model.config.max_position_embeddings - SPECIALS_PER_CONTEXT - int(context.lengths.max())
    genes = genes[: min(NUM_RANKS, max(room, 1))]
    batch = all_masked(context, len(genes), vocab, grid).to(model.device)
    wanted = torch.from_numpy(np.tile(genes, len(grid)).astype(np.int64)).to(model.device)
    with model.computing():
        hidden = model.net.hidden(batch, model.attention())
        found = [
            gene_log_probs(model.net.cls.predictions(states, ranks), vocab).gather(
                1, labels[:, None]
            )
            for states, ranks, labels in zip(
                hidden.split(_ROWS_AT_ONCE),
                batch.scored_ranks.split(_ROWS_AT_ONCE),
                wanted.split(_ROWS_AT_ONCE),
                strict=True,
            )
        ]
    sums: ndarray = torch.cat(found).view(len(grid), -1).double().sum(dim=1).cpu().numpy()
    return sums


def prior_of(trained: TrainedGaps, grid: Float[ndarray, " gap"]) -> Float[ndarray, " gap"]:
    """How often training drew gaps near each of the grid; none is impossible."""
    nearest = np.abs(np.log(trained.quantiles)[:, None] - np.log(grid)).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(grid)) / len(trained.quantiles)
    return (1 - _PRIOR_FLOOR) * counts + _PRIOR_FLOOR / len(grid)


def posterior(
    scores: Float[ndarray, "pair gap"], prior: Float[ndarray, " gap"], sharpness: float
) -> Float[ndarray, "pair gap"]:
    """Probabilities of the gaps of a grid, given both cells."""
    logs = sharpness * scores + np.log(prior)
    logs -= logs.max(axis=1, keepdims=True)
    found = np.exp(logs)
    return found / found.sum(axis=1, keepdims=True)


def fit_sharpness(
    scores: Float[ndarray, "pair gap"],
    prior: Float[ndarray, " gap"],
    grid: Float[ndarray, " gap"],
    gaps: Float[ndarray, " pair"],
) -> float:
    """The factor under which the true gaps of some pairs are likeliest.

    Args:
        scores: Log-likelihoods of the later cells.
        prior: Of the gaps of the grid.
        grid: Those gaps.
        gaps: The true gap of each pair.
    """
    nearest = np.abs(np.log(gaps)[:, None] - np.log(grid)).argmin(axis=1)
    rows = np.arange(len(gaps))

    def likelihood(factor: float) -> float:
        return float(np.log(posterior(scores, prior, factor)[rows, nearest]).mean())

    return max(SHARPNESS, key=likelihood)
