"""A simulated differentiation with known successors and known probabilities.

Cells move along a tree: a root that forks, with one branch that forks again. Genes form
programmes: each switches on along one branch and may switch off later (sigmoids of pseudotime),
and housekeeping genes never change. Counts are negative binomial around the expected
expression at the cell's branch and pseudotime, so `Programmes` is the exact conditional
distribution of the data, and the score of the best possible prediction can be sampled from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.setting_values import Settings

NEIGHBOR_KEY = "next_cell_ids"
"""The key under which the true successors of simulated cells are stored."""
HOUSEKEEPING = -1
"""The branch of genes that no branch switches."""


@dataclass(frozen=True, kw_only=True)
class SimulationSettings(Settings):
    """A branching differentiation.

    Raises:
        ValueError: A size or a level is not positive, or a fraction is not in [0, 1].
    """

    num_cells: int = 3000
    """Number of cells, spread evenly over the tree."""
    num_genes: int = 600
    """Number of genes, both housekeeping genes and genes of expression programmes."""
    num_branches: int = 2
    """Number of branches into which the root forks; the first of these branches forks again, into
    two."""
    housekeeping_share: float = 0.25
    """Fraction of the genes that have the same expected expression in every cell."""
    counts_per_cell: float = 1500.0
    """Mean total count of a cell."""
    depth_spread: float = 0.3
    """Standard deviation of the logarithm of a cell's total count."""
    fold_change: float = 40.0
    """Median fold change of a gene when its programme is on."""
    switch_width: float = 0.06
    """Width, in pseudotime, of the sigmoid by which a programme is switched on or off; each branch
    has length 1."""
    dispersion: float = 0.1
    """Overdispersion of counts: their variance is mean + dispersion * mean^2."""
    step: float = 0.3
    """Mean distance in pseudotime to the successors of a cell."""
    num_successors: int = 5
    """Largest number of successors of a cell."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in fields(SimulationSettings):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name not in _MAY_BE_ZERO):
                raise ValueError(f"{field.name} must be positive; got {value}")
        if self.housekeeping_share > 1:
            raise ValueError(f"housekeeping_share must be in [0, 1]; got {self.housekeeping_share}")
        if self.num_branches < 2:
            raise ValueError(f"num_branches must be at least 2; got {self.num_branches}")


_MAY_BE_ZERO = {"housekeeping_share", "depth_spread", "dispersion"}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Branches of length 1, parents before children; branch 0 is the root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """The branch each one leaves; -1 for the root."""

    @property
    def starts(self) -> Float[ndarray, " branch"]:
        """The pseudotime at which each branch begins."""
        starts = np.zeros(len(self.names))
        for branch, parent in enumerate(self.parents[1:], start=1):
            starts[branch] = starts[parent] + 1
        return starts

    @property
    def leads_to(self) -> Bool[ndarray, "branch branch"]:
        """Whether cells of the row's branch can reach the column's (or are there)."""
        reach = np.eye(len(self.names), dtype=bool)
        for branch, parent in enumerate(self.parents[1:], start=1):
            reach[:, branch] |= reach[:, parent]
        return reach

    @classmethod
    def forked(cls, num_branches: int) -> "Tree":
        """A root with `num_branches` daughters, of which the first forks into two."""
        daughters = [chr(ord("A") + i) for i in range(num_branches)]
        return cls(
            names=("root", *daughters, "A1", "A2"), parents=(-1, *(0 for _ in daughters), 1, 1)
        )


@dataclass(frozen=True, kw_only=True)
class Programmes:
    """The expected expression at every place of the tree, and counts drawn around it."""

    tree: Tree
    baseline: Float[ndarray, " gene"]
    """Level of each gene when its programme is off; housekeeping genes' only level."""
    fold_change: Float[ndarray, " gene"]
    """How much more when it is on; 1 for housekeeping genes."""
    branch: Int[ndarray, " gene"]
    """Where each gene switches on, or `HOUSEKEEPING`."""
    switched_on: Float[ndarray, " gene"]
    """Pseudotime at which a gene switches on; -inf for genes on from the start."""
    switched_off: Float[ndarray, " gene"]
    """Pseudotime at which it switches off again; inf for never."""
    switch_width: float
    dispersion: float

    def activity(
        self, branch: Int[ndarray, " cell"], pseudotime: Float[ndarray, " cell"]
    ) -> Float[ndarray, "cell gene"]:
        """How far each gene's programme is on, from 0 to 1."""
        time = pseudotime[:, None]
        on = _sigmoid((time - self.switched_on) / self.switch_width)
        on *= _sigmoid((self.switched_off - time) / self.switch_width)
        return on * self.tree.leads_to[self.branch][:, branch].T * (self.branch != HOUSEKEEPING)

    def mean_expression(
        self, branch: Int[ndarray, " cell"], pseudotime: Float[ndarray, " cell"]
    ) -> Float[ndarray, "cell gene"]:
        """The expected fraction of a cell's counts of each gene; rows sum to 1."""
        activity = self.activity(branch, pseudotime)
        level = self.baseline * self.fold_change**activity
        return level / level.sum(axis=1, keepdims=True)

    def sample_counts(
        self,
        branch: Int[ndarray, " cell"],
        pseudotime: Float[ndarray, " cell"],
        depth: Float[ndarray, " cell"],
        rng: np.random.Generator,
    ) -> sp.csr_matrix:
        """Negative binomial counts of cells with the given expected totals."""
        mean = depth[:, None] * self.mean_expression(branch, pseudotime)
        return negative_binomial_counts(mean, self.dispersion, rng)


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Cells of a known trajectory."""

    counts: sp.csr_matrix
    """Cells x genes."""
    gene_ids: tuple[str, ...]
    branch: Int[ndarray, " cell"]
    pseudotime: Float[ndarray, " cell"]
    depth: Float[ndarray, " cell"]
    """The total that was expected of each cell."""
    latent: Float[ndarray, "cell 2"]
    """Coordinates of each cell in a drawing of the tree: pseudotime, and sideways the branch."""
    programmes: Programmes
    settings: SimulationSettings

    @cached_property
    def successors(self) -> NeighborGraph:
        """The true successors among all cells."""
        return self.successors_among(np.arange(len(self.branch)))

    def successors_among(self, members: Int[ndarray, " member"]) -> NeighborGraph:
        """The true successors among some cells, such as those of a split, as rows of these."""
        tree, settings = self.programmes.tree, self.settings
        where = self.branch[members], self.pseudotime[members]
        return known_successors(
            tree, *where, step=settings.step, num_successors=settings.num_successors
        )


def simulate(settings: SimulationSettings, rng: np.random.Generator) -> Simulation:
    """Draw a tree's programmes, cells on it and their counts."""
    tree = Tree.forked(settings.num_branches)
    programmes = draw_programmes(settings, tree, rng)
    branch = rng.permutation(np.arange(settings.num_cells) % len(tree.names))
    pseudotime = tree.starts[branch] + rng.random(settings.num_cells)
    depth = draw_depths(settings, settings.num_cells, rng)
    return Simulation(
        counts=programmes.sample_counts(branch, pseudotime, depth, rng),
        gene_ids=tuple(f"ENSG{i:011d}" for i in range(1, settings.num_genes + 1)),
        branch=branch,
        pseudotime=pseudotime,
        depth=depth,
        latent=layout(tree, branch, pseudotime, rng),
        programmes=programmes,
        settings=settings,
    )


def negative_binomial_counts(
    mean: Float[ndarray, "cell gene"], dispersion: float, rng: np.random.Generator
) -> sp.csr_matrix:
    """Counts with variance mean + dispersion * mean^2; Poisson counts without dispersion."""
    if dispersion:
        mean = mean * rng.gamma(1 / dispersion, dispersion, size=mean.shape)
    return sp.csr_matrix(rng.poisson(mean).astype(np.float32))


def draw_depths(
    settings: SimulationSettings, num_cells: int, rng: np.random.Generator
) -> Float[ndarray, " cell"]:
    """Expected total counts of cells."""
    spread = rng.normal(0, settings.depth_spread, num_cells)
    return np.asarray(settings.counts_per_cell * np.exp(spread - settings.depth_spread**2 / 2))


def draw_programmes(
    settings: SimulationSettings, tree: Tree, rng: np.random.Generator
) -> Programmes:
    """Give every gene a level, and programme genes a branch and the times of their switches."""
    num, margin = settings.num_genes, 2.5 * settings.switch_width
    branch = np.full(num, HOUSEKEEPING)
    programmed = rng.permutation(num)[round(num * settings.housekeeping_share) :]
    branch[programmed] = rng.permutation(np.arange(len(programmed)) % len(tree.names))
    # a switch is well inside its branch, so that expression does not jump at a fork
    on = tree.starts[branch] + rng.uniform(margin, 1 - margin, num)
    from_start = (branch == 0) & (rng.random(num) < 0.5)
    duration = rng.uniform(0.4, 1.2, num)
    off = np.where(from_start, duration, on + duration)
    ends = rng.random(num) < 0.85
    is_housekeeping = branch == HOUSEKEEPING
    broad, narrow = rng.normal(0, 1.6, num), rng.normal(0, 0.6, num)
    change = settings.fold_change * np.exp(rng.normal(0, 0.3, num))
    return Programmes(
        tree=tree,
        # programme genes are faint, yet not silent, where they are off
        baseline=np.exp(np.where(is_housekeeping, broad, narrow - 2.8)),
        fold_change=np.where(is_housekeeping, 1.0, change),
        branch=branch,
        switched_on=np.where(from_start, -np.inf, on),
        switched_off=np.where(ends, off, np.inf),
        switch_width=settings.switch_width,
        dispersion=settings.dispersion,
    )


def known_successors(
    tree: Tree,
    branch: Int[ndarray, " cell"],
    pseudotime: Float[ndarray, " cell"],
    *,
    step: float,
    num_successors: int,
) -> NeighborGraph:
    """The cells nearest to one step ahead, on the same branch or on those it leads to.

    Candidates are half a step to one and a half steps ahead, never behind. Weights are
    Gaussian in the distance from the full step, with a width of half a step.
    """
    by_time = np.argsort(pseudotime, kind="stable")
    sorted_times, reach = pseudotime[by_time], tree.leads_to
    rows, columns, weights = [], [], []
    for cell, (place, time) in enumerate(zip(branch, pseudotime, strict=True)):
        window = np.searchsorted(sorted_times, (time + step / 2, time + 1.5 * step))
        candidates = by_time[slice(*window)]
        candidates = candidates[reach[place, branch[candidates]]]
        off_target = np.abs(pseudotime[candidates] - time - step)
        chosen = np.argsort(off_target, kind="stable")[:num_successors]
        rows.append(np.full(len(chosen), cell))
        columns.append(candidates[chosen])
        weights.append(np.exp(-0.5 * (off_target[chosen] / (step / 2)) ** 2))
    edges = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    graph, _ = NeighborGraph.from_matrix(sp.coo_array(edges, shape=(len(branch), len(branch))))
    return graph


def layout(
    tree: Tree,
    branch: Int[ndarray, " cell"],
    pseudotime: Float[ndarray, " cell"],
    rng: np.random.Generator,
) -> Float[ndarray, "cell 2"]:
    """Draw the tree from left to right: branches part smoothly after their fork, then go on."""
    heights = _heights(tree.parents)
    along = np.minimum(pseudotime - tree.starts[branch], 1)
    origins = heights[np.maximum(np.array(tree.parents), 0)]
    parted = along * along * (3 - 2 * along)
    sideways = origins[branch] + (heights - origins)[branch] * parted
    return np.column_stack([pseudotime, sideways + rng.normal(0, 0.05, len(branch))])


def _heights(parents: Sequence[int]) -> Float[ndarray, " branch"]:
    """Daughters are placed evenly around their mother, closer with each fork."""
    heights, spread = np.zeros(len(parents)), np.ones(len(parents))
    for mother in range(len(parents)):
        daughters = [branch for branch, parent in enumerate(parents) if parent == mother]
        places = np.linspace(1, -1, len(daughters)) * spread[mother]
        for daughter, place in zip(daughters, places, strict=True):
            heights[daughter], spread[daughter] = heights[mother] + place, spread[mother] / 2
    return heights


def _sigmoid(x: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    result: Float[ndarray, ...] = 0.5 * (1 + np.tanh(0.5 * x))
    return result
