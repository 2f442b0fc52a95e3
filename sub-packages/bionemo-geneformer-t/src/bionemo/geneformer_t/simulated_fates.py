"""A simulated differentiation whose fates are known: switch genes decide at each fork.

Every cell belongs to a lineage and is seen at a random time of it. `switch_genes` says what decides
at the forks. The fate probabilities of every cell follow, and they are a martingale: the mean over
what may follow a cell is the cell's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.setting_values import require_at_least
from bionemo.geneformer_t.simulation import (
    HOUSEKEEPING,
    Programmes,
    Simulation,
    SimulationSettings,
    Tree,
    draw_depths,
    draw_programmes,
    layout,
    negative_binomial_counts,
)
from bionemo.geneformer_t.switch_genes import SWITCHED_AFTER, Switches

_STATE_SCALE = 0.25
"""Distance between switch states that weighs as much as half a step in time."""


@dataclass(frozen=True, kw_only=True)
class FateSettings(SimulationSettings):
    """A differentiation with or without switch genes.

    Raises:
        ValueError: As `SimulationSettings`; or donors without switch genes, or too few genes,
            successors or time for the forks.
    """

    num_switch_genes: int = 0
    """Number of switch genes for each branch that a fork leads to; half of them favour the branch
    and half work against it. They are taken from the housekeeping genes. With some, each lineage
    lasts until the last leaf of the tree ends, fate probabilities are written to
    obsm["true_fates"], and successors follow them."""
    switch_effect: float = 0.7
    """Change of a switch gene's logarithmic expression for one standard deviation of the switch
    state."""
    switch_strength: float = 2.0
    """Change of the log odds of a branch for one standard deviation of the switch state."""
    num_donors: int = 0
    """Number of donors; needs switch genes. With 0, obs has no donors."""
    donor_effect: float = 0.3
    """Standard deviation, between donors, of the logarithms of each gene's expression and of the
    depth, and of the log odds of each branch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, *(f.name for f in fields(FateSettings) if f.name in _OWN))
        if self.num_donors and not self.num_switch_genes:
            raise ValueError(
                f"num_donors is {self.num_donors}, but only cells with switch genes have donors; "
                "give num_switch_genes too"
            )
        if self.num_switch_genes and self.step > 2 / 3:
            raise ValueError(
                f"step must be at most 2/3 with switch genes, or a step passes two forks; got "
                f"{self.step}"
            )
        if self.num_switch_genes and self.num_successors <= self.num_branches:
            raise ValueError(
                f"num_successors must be above num_branches ({self.num_branches}) with switch "
                f"genes, for a successor on each side of a fork; got {self.num_successors}"
            )


_OWN = {"num_switch_genes", "switch_effect", "switch_strength", "num_donors", "donor_effect"}


@dataclass(frozen=True, kw_only=True)
class FateSimulation(Simulation):
    """Cells of a known trajectory with known fates."""

    settings: FateSettings
    switches: Switches
    state: Float[ndarray, "cell branch"]
    """Switch state of each cell's lineage for each branch, whether it was drawn already or not."""
    donor: Int[ndarray, " cell"]
    """Donor of each cell; 0 if there are none."""

    @cached_property
    def branch_probabilities(self) -> Float[ndarray, "cell branch"]:
        """At the fork of each cell's own branch: probability of each branch that it leads to.

        0 for all other branches.
        """
        found = np.zeros_like(self.state)
        decided = self.switches.decided(self.state, self.donor)
        for mother, daughters in self.switches.forks.items():
            here = self.branch == mother
            known = (self.is_decided & here)[:, None]
            undecided = self.switches.undecided[self.donor][:, daughters]
            found[:, daughters] += here[:, None] * np.where(known, decided[:, daughters], undecided)
        return found

    @cached_property
    def is_decided(self) -> Bool[ndarray, " cell"]:
        """Whether the switch state of the cell's own branch was drawn already."""
        since = self.pseudotime - self.programmes.tree.starts[self.branch]
        return np.asarray(since >= SWITCHED_AFTER)

    @cached_property
    def true_fates(self) -> Float[ndarray, "cell fate"]:
        """Probability of each leaf, in the order of `switches.leaves`; rows sum to 1."""
        reached = np.zeros_like(self.state)
        reached[np.arange(len(self.branch)), self.branch] = 1
        for mother, daughters in self.switches.forks.items():
            here = (self.branch == mother)[:, None]
            ahead = self.switches.undecided[self.donor][:, daughters]
            own = np.where(here, self.branch_probabilities[:, daughters], ahead)
            reached[:, daughters] += reached[:, [mother]] * own
        return reached[:, self.switches.leaves]

    def without(self, gene: int) -> "FateSimulation":
        """The same cells with a gene knocked out: their fates are other ones, if it is a switch."""
        return replace(self, switches=replace(self.switches, knocked_out=(gene,)))

    def successors_among(self, members: Int[ndarray, " member"]) -> NeighborGraph:
        """The true successors among some cells, as rows of these.

        Candidates are half a step to one and a half steps ahead on the same branch or on those that
        its fork leads to. The weight of each branch is the probability to be there: the fraction of
        this window before or after the fork, times the cell's probability of the branch. On each
        branch the cells nearest to a full step ahead and in switch state are chosen. Branches
        without any candidate are left out.
        """
        times = self.pseudotime[members]
        by_time = np.argsort(times, kind="stable")
        rows, columns, weights = [], [], []
        for cell in range(len(members)):
            window = np.searchsorted(
                times[by_time], times[cell] + self.settings.step * np.array([0.5, 1.5])
            )
            candidates = by_time[slice(*window)]
            for chosen, weight in self._chosen(int(members[cell]), members[candidates]):
                rows.append(np.full(len(chosen), cell))
                columns.append(candidates[chosen])
                weights.append(weight)
        edges = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
        shape = (len(members), len(members))
        return NeighborGraph.from_matrix(sp.coo_array(edges, shape=shape))[0]

    def _chosen(
        self, cell: int, candidates: Int[ndarray, " candidate"]
    ) -> Iterator[tuple[Int[ndarray, " chosen"], Float[ndarray, " chosen"]]]:
        """For each branch with candidates: which of them follow the cell, and their weights."""
        step, tree, branch = self.settings.step, self.programmes.tree, int(self.branch[cell])
        daughters = self.switches.forks.get(branch, [])
        time, end = self.pseudotime[cell], tree.starts[branch] + 1
        after = np.clip((time + 1.5 * step - end) / step, 0, 1) if daughters else 0.0
        shares = {branch: 1 - after}
        shares |= {d: after * self.branch_probabilities[cell, d] for d in daughters}
        groups = {b: np.flatnonzero(self.branch[candidates] == b) for b, w in shares.items() if w}
        groups = {b: group for b, group in groups.items() if len(group)}
        numbers = _allotted(np.array([shares[b] for b in groups]), self.settings.num_successors)
        for (b, group), number in zip(groups.items(), numbers, strict=True):
            found = candidates[group]
            off_time = (self.pseudotime[found] - time - step) / (step / 2)
            off_state = self._off_state(cell, found, daughters)
            order = np.argsort(off_time**2 + off_state**2, kind="stable")[:number]
            weight = np.exp(-0.5 * off_time[order] ** 2)
            yield group[order], shares[b] * weight / weight.sum()

    @cached_property
    def _effective_state(self) -> Float[ndarray, "cell branch"]:
        """The state, shifted by what the donor's log odds are worth."""
        log_odds = self.switches.log_odds[self.donor]
        return np.asarray(self.state + log_odds / max(self.switches.strength, 1e-9))

    def _off_state(
        self, cell: int, others: Int[ndarray, " other"], daughters: list[int]
    ) -> Float[ndarray, " other"]:
        """Distance in the state of the fork ahead, where it is known to both."""
        if not daughters or not self.is_decided[cell]:
            return np.zeros(len(others))
        own, theirs = self._effective_state[cell], self._effective_state[others]
        difference = (theirs - own)[:, daughters]
        difference -= difference.mean(axis=1, keepdims=True)
        away = np.linalg.norm(difference, axis=1) / _STATE_SCALE
        return np.where(
            self.is_decided[others] | (self.branch[others] != self.branch[cell]), away, 0
        )


def simulate_fates(settings: FateSettings, rng: np.random.Generator) -> FateSimulation:
    """Draw programmes, switches and lineages, and cells at random times of these.

    Raises:
        ValueError: Fewer housekeeping genes than switch genes.
    """
    tree = Tree.forked(settings.num_branches)
    num, donors = settings.num_cells, max(settings.num_donors, 1)
    programmes = draw_programmes(settings, tree, rng)
    # levels such as transcription factors have: seen in most cells, a small part of all counts
    genes = _switch_genes(settings, programmes, rng)
    programmes.baseline[genes] = np.exp(rng.normal(0, 0.3, len(genes)))
    spread = settings.donor_effect if settings.num_donors else 0.0
    branches = np.arange(1, len(tree.names))
    switches = Switches(
        tree=tree,
        strength=settings.switch_strength,
        effect=settings.switch_effect,
        genes=genes,
        branch=np.tile(branches, settings.num_switch_genes),
        sign=np.where(np.arange(len(genes)) // len(branches) % 2 == 0, 1, -1),
        log_odds=rng.normal(0, spread, (donors, len(tree.names))),
    )
    donor = rng.integers(donors, size=num)
    state = rng.normal(size=(num, len(tree.names)))
    state[:, 0] = 0  # no fork leads to the root
    pseudotime = rng.random(num) * (tree.starts.max() + 1)
    branch = _branches(switches, _lineages(switches, state, donor, rng), pseudotime)
    depth = draw_depths(settings, num, rng) * np.exp(rng.normal(0, spread, donors))[donor]
    level = programmes.mean_expression(branch, pseudotime)
    level *= np.exp(rng.normal(0, spread, (donors, settings.num_genes)))[donor]
    level[:, switches.genes] *= np.exp(switches.log_expression(branch, pseudotime, state))
    mean = depth[:, None] * level / level.sum(axis=1, keepdims=True)
    return FateSimulation(
        counts=negative_binomial_counts(mean, settings.dispersion, rng),
        gene_ids=tuple(f"ENSG{i:011d}" for i in range(1, settings.num_genes + 1)),
        branch=branch,
        pseudotime=pseudotime,
        depth=depth,
        latent=layout(tree, branch, pseudotime, rng),
        programmes=programmes,
        settings=settings,
        switches=switches,
        state=state,
        donor=donor,
    )


def _switch_genes(
    settings: FateSettings, programmes: Programmes, rng: np.random.Generator
) -> Int[ndarray, " switch_gene"]:
    """Housekeeping genes to become switch genes, as many for each branch but the root."""
    pool = np.flatnonzero(programmes.branch == HOUSEKEEPING)
    branches = len(programmes.tree.names) - 1
    needed = branches * settings.num_switch_genes
    if needed > len(pool):
        raise ValueError(
            f"num_switch_genes {settings.num_switch_genes} for each of {branches} branches "
            f"needs {needed} housekeeping genes; there are {len(pool)}. Raise num_genes or "
            "housekeeping_share"
        )
    return rng.permutation(pool)[:needed]


def _lineages(
    switches: Switches,
    state: Float[ndarray, "cell branch"],
    donor: Int[ndarray, " cell"],
    rng: np.random.Generator,
) -> Int[ndarray, " cell"]:
    """The leaf in which the lineage of each cell ends: the forks decide one after the other."""
    place, decided = np.zeros(len(state), dtype=np.int64), switches.decided(state, donor)
    for mother, daughters in switches.forks.items():
        drawn = rng.random(len(state))[:, None]
        passed = (np.cumsum(decided[:, daughters], axis=1)[:, :-1] < drawn).sum(axis=1)
        place = np.where(place == mother, np.array(daughters)[passed], place)
    return place


def _branches(
    switches: Switches, leaf: Int[ndarray, " cell"], pseudotime: Float[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """The branch of each lineage that has begun last; the root's start is 0."""
    branch = leaf.copy()
    parents = np.array(switches.tree.parents)
    while (early := pseudotime < switches.tree.starts[branch]).any():
        branch[early] = parents[branch[early]]
    return branch


def _allotted(shares: Float[ndarray, " group"], total: int) -> list[int]:
    """Members of each group: one each, the others in proportion; at most `total` in all."""
    rest = total - len(shares)
    extra = np.floor(rest * shares / max(shares.sum(), 1e-9)).astype(np.int64)
    if len(shares):
        extra[np.argmax(shares)] += rest - extra.sum()
    return (1 + extra).tolist()
