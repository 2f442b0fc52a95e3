"""The simulator's own prediction: a lower bound of the loss of any model.

At the true place of a current cell (its branch and pseudotime) next cells are simulated: the other
cells of the split are drawn again, then those among them that are its successors, and their counts.
The genes at each rank are counted, smoothed over ranks, and mixed with the average of some places
and the uniform distribution, so that no gene is impossible; width and weights are chosen on further
simulated cells. Given its place, the counts of a current cell say nothing more about the next cell.
A model sees the counts alone, so the bound cannot be reached.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_counts import WIDTHS, smooth
from bionemo.geneformer_t.evaluate.evaluation_pairs import positions
from bionemo.geneformer_t.evaluate.mixture import best_mixture
from bionemo.geneformer_t.simulation import Programmes, SimulationSettings, Tree, draw_depths

DRAWS = 1000
"""Next cells that are simulated for each current cell."""
_TUNED_ON = 20
"""Places on which width and weights are chosen."""
_HELD_OUT = 100
"""Further next cells of each of these places."""
_PATIENCE = 100
"""Rounds of drawing after which a place without a single successor is abandoned."""

Encode = Callable[[sp.csr_matrix], list[Int[ndarray, " _"]]]
"""Counts, cells x genes of the simulation -> the tokens of each cell in rank order."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """The places of the cells of a split, and how next cells are simulated there."""

    programmes: Programmes
    settings: SimulationSettings
    branch: Int[ndarray, " cell"]
    pseudotime: Float[ndarray, " cell"]
    encode: Encode
    max_genes: int
    """Genes that each cell keeps."""
    gene_ids: Int[ndarray, " gene"]
    vocab_size: int
    seed: int

    def next_cells(
        self, cell: int, number: int, stream: int
    ) -> tuple[list[Int[ndarray, " _"]], Float[ndarray, " next_cell"]]:
        """At least `number` next cells of the place of one cell, and their weights.

        A pure function of (seed, stream, cell).
        """
        rng = np.random.default_rng([self.seed, stream, cell])
        branch, time, weights = draw_places(
            self.programmes.tree, int(self.branch[cell]), float(self.pseudotime[cell]),
            self.settings, len(self.branch), number, rng,
        )  # fmt: skip
        depth = draw_depths(self.settings, len(branch), rng)
        counts = self.programmes.sample_counts(branch, time, depth, rng)
        return [genes[: self.max_genes] for genes in self.encode(counts)], weights

    def count(self, cell: int, number: int, stream: int = 0) -> Float[ndarray, "rank vocab"]:
        """How often each gene is at each rank of these next cells."""
        ranks, genes, weights = positions(*self.next_cells(cell, number, stream))
        size = self.max_genes * self.vocab_size
        counts = np.bincount(ranks * self.vocab_size + genes, weights, minlength=size)
        return counts.reshape(self.max_genes, self.vocab_size).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class SimulatorBound:
    """The fitted distribution; `of_cells` predicts."""

    places: Places
    draws: int
    width: float
    """Standard deviation of the smoothing, in ranks."""
    mix: tuple[float, ...]
    """Weights of a place's own counts, of the average place and of the uniform distribution."""
    average: Float[ndarray, "rank vocab"]
    excess: float
    """Nats per position by which more draws would lower the loss: halving them raises it so."""

    def of_cells(
        self, cells: Int[ndarray, " context"], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities of the next cell of each current cell, given as rows of the split."""
        uniform = np.zeros(self.places.vocab_size, dtype=np.float32)
        uniform[self.places.gene_ids] = 1 / len(self.places.gene_ids)
        rest = self.mix[1] * self.average + self.mix[2] * uniform
        tables = [
            self.mix[0] * smooth(self.places.count(int(cell), self.draws), self.width) + rest
            for cell in cells
        ]
        with np.errstate(divide="ignore"):
            return np.log(np.array(tables, dtype=np.float32)[:, :num_ranks])


def fit_simulator_bound(
    places: Places, cells: Int[ndarray, " current_cell"], draws: int = DRAWS
) -> SimulatorBound:
    """Choose width and weights on simulated cells of some places, and the gain of more draws.

    Args:
        places: The simulated split.
        cells: Rows of the current cells, which have successors.
        draws: Next cells to simulate for each current cell.
    """
    chosen = cells[np.linspace(0, len(cells) - 1, min(_TUNED_ON, len(cells))).astype(np.int64)]
    held_out = [positions(*places.next_cells(int(cell), _HELD_OUT, 1)) for cell in chosen]
    weights = np.concatenate([weights for _, _, weights in held_out])
    losses = []
    for number in (draws // 2, draws):
        counts = [places.count(int(cell), number) for cell in chosen]
        candidates = (
            (width, _held_out_probabilities(counts, held_out, width, len(places.gene_ids)))
            for width in WIDTHS
        )
        width, mix, nats = best_mixture(candidates, weights)
        losses.append(nats)
    return SimulatorBound(
        places=places,
        draws=draws,
        width=width,
        mix=mix,
        average=smooth(np.sum(counts, axis=0), width),
        excess=losses[0] - losses[1],
    )


def draw_places(
    tree: Tree,
    branch: int,
    time: float,
    settings: SimulationSettings,
    num_cells: int,
    number: int,
    rng: np.random.Generator,
) -> tuple[Int[ndarray, " drawn"], Float[ndarray, " drawn"], Float[ndarray, " drawn"]]:
    """The places of the successors of a cell in splits of `num_cells` cells, each drawn again.

    Returns:
        Branches, pseudotimes, and weights that sum to one over the successors in each split.

    Raises:
        ValueError: No cell can follow, or next to none.
    """
    step, most = settings.step, settings.num_successors
    branches = np.arange(num_cells) % len(tree.names)
    reached = branches[tree.leads_to[branch, branches]]
    found: list[tuple[ndarray, ndarray, ndarray]] = []
    drawn = 0
    while drawn < number:
        splits = -(-number // most)
        times = tree.starts[reached] + rng.random((splits, len(reached)))
        off = np.abs(times - time - step)
        off[off > step / 2] = np.inf
        order = np.argsort(off, axis=1)[:, :most]
        near = np.take_along_axis(off, order, axis=1)
        weights = np.exp(-0.5 * (near / (step / 2)) ** 2)
        is_there = np.isfinite(near)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        found.append(
            (reached[order][is_there], np.take_along_axis(times, order, 1)[is_there],
             weights[is_there])
        )  # fmt: skip
        drawn += int(is_there.sum())
        # near the ends of the tree few splits hold a successor
        if len(found) == _PATIENCE:
            break
    if not drawn:
        raise ValueError(f"no cell follows branch {tree.names[branch]} at pseudotime {time}")
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]


def _held_out_probabilities(
    counts: list[Float[ndarray, "rank vocab"]],
    held_out: list[tuple[ndarray, ndarray, ndarray]],
    width: float,
    num_genes: int,
) -> Float[ndarray, "position 3"]:
    """What a place's own counts, the average and the uniform gave the held-out genes."""
    average = smooth(np.sum(counts, axis=0), width)
    found = [
        np.stack(
            [smooth(own, width)[ranks, genes], average[ranks, genes],
             np.full(len(ranks), 1 / num_genes)],
            axis=1,
        )
        for own, (ranks, genes, _) in zip(counts, held_out, strict=True)
    ]  # fmt: skip
    return np.concatenate(found)
