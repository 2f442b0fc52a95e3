"""Switch genes: what decides at the forks of a simulated differentiation, and how it shows.

In each branch that forks, a switch state is drawn soon after the branch begins: one standard normal
value z for each branch that the fork leads to, which the cell and its descendants keep. It shows in
the expression of switch genes: its logarithm rises by `effect * z` where a gene favours a branch,
and falls where it works against it. And it decides: the fork leads to branch d with probability
softmax(strength * z + donor's log odds)_d. Before it is drawn, the probability is the mean of this
over all states.

A gene that is knocked out shows the least that a switch gene can, whatever the state, and the fork
is decided by what the genes show: by the mean, over the genes of a branch, of the states that they
speak for.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import softmax

from bionemo.geneformer_t.simulation import Tree

SWITCHED_AFTER = 0.2
"""Pseudotime from the beginning of a branch to the moment at which its switch state is drawn."""
RAMP = 0.2
"""Pseudotime in which the switch genes then change."""
OFF = 3.0
"""Standard deviations below its mean at which a gene that is knocked out counts."""
_STATES = 13
"""Logarithm (base 2) of the number of states over which a donor's probability is averaged."""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What decides at the forks of a tree."""

    tree: Tree
    strength: float
    effect: float
    genes: Int[ndarray, " switch_gene"]
    """Which genes are switch genes."""
    branch: Int[ndarray, " switch_gene"]
    """The branch that each is about."""
    sign: Int[ndarray, " switch_gene"]
    """1 where it favours the branch, -1 where it works against it."""
    log_odds: Float[ndarray, "donor branch"]
    """Log odds of each donor for each branch; one donor without any effect if there are none."""
    knocked_out: tuple[int, ...] = ()
    """Genes that are off in all cells."""

    @cached_property
    def forks(self) -> dict[int, list[int]]:
        """Each branch that forks, and the branches that its fork leads to; parents first."""
        daughters: dict[int, list[int]] = {}
        for branch, parent in enumerate(self.tree.parents[1:], start=1):
            daughters.setdefault(parent, []).append(branch)
        return dict(sorted(daughters.items()))

    @cached_property
    def leaves(self) -> list[int]:
        """The branches that do not fork, which are the fates."""
        return [branch for branch in range(len(self.tree.names)) if branch not in self.forks]

    @cached_property
    def undecided(self) -> Float[ndarray, "donor branch"]:
        """Probability of each branch at its fork, before the switch state is drawn."""
        from scipy.stats import qmc  # takes longer than the rest of `simulate --help`

        mean = np.ones_like(self.log_odds)
        for daughters in self.forks.values():
            off = self.branch[np.isin(self.genes, self.knocked_out)]
            if not (
                self.log_odds.any() or np.isin(off, daughters).any()
            ):  # nothing sets the branches apart
                mean[:, daughters] = 1 / len(daughters)
                continue
            sampler = qmc.MultivariateNormalQMC(np.zeros(len(daughters)), rng=0)
            drawn = np.zeros((2**_STATES, self.log_odds.shape[1]))
            drawn[:, daughters] = sampler.random(2**_STATES)
            states = self.strength * self.spoken_for(drawn)[:, daughters]
            for donor, own in enumerate(self.log_odds[:, daughters]):
                mean[donor, daughters] = softmax(states + own, axis=1).mean(axis=0)
        return mean

    def decided(
        self, state: Float[ndarray, "cell branch"], donor: Int[ndarray, " cell"]
    ) -> Float[ndarray, "cell branch"]:
        """Probability of each branch at its fork, given the switch state."""
        logits = self.strength * self.spoken_for(state) + self.log_odds[donor]
        found = np.ones_like(state)
        for daughters in self.forks.values():
            found[:, daughters] = softmax(logits[:, daughters], axis=1)
        return found

    def spoken_for(self, state: Float[ndarray, "cell branch"]) -> Float[ndarray, "cell branch"]:
        """The state that the genes show; the state itself where none is knocked out."""
        shown = state.copy()
        number = np.bincount(self.branch, minlength=state.shape[1])
        for place in np.flatnonzero(np.isin(self.genes, self.knocked_out)).tolist():
            branch, sign = self.branch[place], self.sign[place]
            shown[:, branch] -= (state[:, branch] + OFF * sign) / number[branch]
        return shown

    def log_expression(
        self,
        branch: Int[ndarray, " cell"],
        pseudotime: Float[ndarray, " cell"],
        state: Float[ndarray, "cell branch"],
    ) -> Float[ndarray, "cell switch_gene"]:
        """How far each switch gene is from its mean, in logarithms."""
        mothers = np.array(self.tree.parents)[self.branch]
        since = pseudotime[:, None] - self.tree.starts[mothers] - SWITCHED_AFTER
        ramp = np.clip(since / RAMP, 0, 1)
        is_there = self.tree.leads_to[mothers][:, branch].T
        change: Float[ndarray, "cell switch_gene"] = (
            self.effect * self.sign * state[:, self.branch] * ramp * ramp * (3 - 2 * ramp)
        )
        return change * is_there

    def drives(self, fate: int, num_genes: int) -> Int[ndarray, " gene"]:
        """1 for genes that favour a fate, -1 for those that work against it, 0 for all others."""
        found, reach = np.zeros(num_genes, dtype=np.int64), self.tree.leads_to
        mothers = np.array(self.tree.parents)[self.branch]
        toward = np.where(reach[self.branch, fate], self.sign, -self.sign)
        found[self.genes] = np.where(reach[mothers, fate], toward, 0)
        return found
