"""Which examples form a batch: batches of nearly equal numbers of tokens, and otherwise at random.

Ranks wait for the slowest and memory has to hold the largest batch: batches should cost the same.
Examples are assigned longest first to the micro-batch with the fewest tokens (LPT scheduling,
Graham 1969): to batches of a fixed number of examples, or, under a budget of tokens, to as few
batches as hold them.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT, PairSettings
from bionemo.geneformer_t.data.contrast import NUM_RANKS
from bionemo.geneformer_t.data.masking import num_scored
from bionemo.geneformer_t.graph import NeighborGraph

_WINDOW = 16
"""Steps whose examples are exchanged for balance: more would balance better and mix less."""
_JITTER = 0.2
"""Costs are compared with this much noise, or small data would form the same steps every epoch."""
_FILL = 0.98
"""Fraction of the budget that is planned for, so that there is room to mix."""
_RANDOM_FRACTIONS = (0.5, 0.25, 0.0)
"""Fractions of the examples that are placed at random before balance counts; the first that fits is
taken."""


@dataclass(frozen=True, kw_only=True)
class BySize:
    """Batches of a fixed number of examples.

    An optimizer step holds the same examples however it is cut into micro-batches and ranks. A last
    step may be short; its batches then hold fewer examples, or none.
    """

    costs: Int[ndarray, " example"]
    """Tokens of each example."""
    size: int
    ranks: int = 1
    accumulated: int = 1
    """Batches of each rank in an optimizer step."""

    @property
    def number(self) -> int:
        """Batches of all ranks in every epoch."""
        return math.ceil(len(self.costs) / (self.ranks * self.size)) * self.ranks

    def shuffled(self, rng: np.random.Generator) -> Iterator[Int[ndarray, " _"]]:
        """The batches of all ranks in turn, in steps of nearly equal cost."""
        at_once = self.ranks * self.size
        for step in balanced_steps(self.costs, at_once * self.accumulated, rng):
            by_cost = step[np.argsort(-self.costs[step], kind="stable")]
            yield from assign_evenly(
                by_cost, self.costs, math.ceil(len(step) / at_once) * self.ranks
            )

    def in_order(self) -> Iterator[Int[ndarray, " _"]]:
        """The examples in their own order, assigned to the ranks in turn."""
        at_once = self.ranks * self.size
        for start in range(0, len(self.costs), at_once):
            examples = np.arange(start, min(start + at_once, len(self.costs)))
            yield from (examples[rank :: self.ranks] for rank in range(self.ranks))


@dataclass(frozen=True, kw_only=True)
class ByTokens:
    """Batches of at most `budget` tokens."""

    costs: Int[ndarray, " example"]
    """Tokens of each example."""
    budget: int
    ranks: int = 1

    @cached_property
    def number(self) -> int:
        """Batches of all ranks, found once: filling by cost alone is the same in every epoch.

        Raises:
            ValueError: An example alone exceeds the budget.
        """
        largest = int(self.costs.max())
        if largest > self.budget:
            raise ValueError(
                f"max_tokens_per_batch is {self.budget:,}, and the largest example alone takes "
                f"{largest:,} tokens; raise it to at least that, or lower seq_length"
            )
        by_cost = np.sort(self.costs)[::-1]
        shares_with_none = int((self.costs > self.budget / 2).sum())
        number = max(math.ceil(self.costs.sum() / (_FILL * self.budget)), shares_with_none)
        while True:
            number = math.ceil(number / self.ranks) * self.ranks
            batch_of = assign_to_lightest(by_cost, np.zeros(number, dtype=np.int64))
            if np.bincount(batch_of, by_cost).max() <= self.budget:
                return number
            number += max(1, number // 50)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Int[ndarray, " _"]]:
        """The batches of all ranks in turn."""
        for fraction in _RANDOM_FRACTIONS:
            order = rng.permutation(len(self.costs))
            first = int(fraction * len(order)) // self.number * self.number
            batch_of = self._filled(order, first)
            if np.bincount(batch_of, self.costs[order]).max() <= self.budget:
                batches = grouped(order, batch_of, self.number)
                yield from (batches[i] for i in rng.permutation(self.number))
                return
        raise AssertionError("without random examples the batches are those that `number` found")

    def in_order(self) -> Iterator[Int[ndarray, " _"]]:
        """The batches of all ranks in turn, filled by cost alone."""
        order = np.arange(len(self.costs))
        yield from grouped(order, self._filled(order, 0), self.number)

    def _filled(self, order: Int[ndarray, " example"], first: int) -> Int[ndarray, " example"]:
        """Batches of the examples: of the first ones in turn, of the others where there is room.

        Sorts the others by cost, in place.
        """
        order[first:] = order[first:][np.argsort(-self.costs[order[first:]], kind="stable")]
        in_turn = np.arange(first) % self.number
        loads = np.bincount(in_turn, self.costs[order[:first]], minlength=self.number)
        rest = assign_to_lightest(self.costs[order[first:]], loads.astype(np.int64))
        return np.concatenate([in_turn, rest])


Batching = BySize | ByTokens
"""How the examples of an epoch become batches: as many for each rank, every example once."""


def balanced_steps(
    costs: Int[ndarray, " example"], size: int, rng: np.random.Generator
) -> Iterator[Int[ndarray, " _"]]:
    """All examples in steps of `size`; what is left over makes a last, shorter step.

    Args:
        costs: Tokens of each example.
        size: Examples in a step.
        rng: Decides the order and the company of each example.
    """
    order = rng.permutation(len(costs))
    in_whole_steps = len(costs) // size * size
    for start in range(0, in_whole_steps, _WINDOW * size):
        window = order[start : min(start + _WINDOW * size, in_whole_steps)]
        noise = rng.uniform(1 - _JITTER, 1 + _JITTER, len(window))
        by_cost = window[np.argsort(-costs[window] * noise)]
        steps = assign_evenly(by_cost, costs, len(window) // size)
        yield from (steps[i] for i in rng.permutation(len(steps)))
    if in_whole_steps < len(costs):
        yield order[in_whole_steps:]


def assign_evenly(
    examples: Int[ndarray, " example"], costs: Int[ndarray, " all_examples"], parts: int
) -> list[Int[ndarray, " _"]]:
    """Divide examples into parts of equal numbers and nearly equal costs.

    Args:
        examples: The costliest first.
        costs: Tokens of every example, by its number.
        parts: How many parts; those that stay without an example are empty.
    """
    part_of = np.empty(len(examples), dtype=np.int64)
    loads = np.zeros(parts, dtype=np.int64)
    for start in range(0, len(examples), parts):
        cost = costs[examples[start : start + parts]]
        dearest_first = np.argsort(-cost, kind="stable")
        lightest_first = np.argsort(loads, kind="stable")[: len(cost)]
        part_of[start + dearest_first] = lightest_first
        loads[lightest_first] += cost[dearest_first]
    return grouped(examples, part_of, parts)


def assign_to_lightest(
    costs: Int[ndarray, " example"], loads: Int[ndarray, " part"]
) -> Int[ndarray, " example"]:
    """The part of each example: in turn the one with the smallest load (LPT scheduling).

    A heap of whole numbers, load and part in one, takes half a second for a million examples.
    """
    parts = len(loads)
    heap = [load * parts + part for part, load in enumerate(loads.tolist())]
    heapq.heapify(heap)
    part_of = []
    for cost in costs.tolist():
        part_of.append(heap[0] % parts)
        heapq.heapreplace(heap, heap[0] + cost * parts)
    return np.array(part_of, dtype=np.int64)


def grouped(
    examples: Int[ndarray, " example"], part_of: Int[ndarray, " example"], parts: int
) -> list[Int[ndarray, " _"]]:
    """The examples of each part, in the order given."""
    by_part = examples[np.argsort(part_of, kind="stable")]
    return np.split(by_part, np.cumsum(np.bincount(part_of, minlength=parts))[:-1])


def most_tokens(
    cells: Int[ndarray, " example"],
    graph: NeighborGraph,
    num_genes: Int[ndarray, " cell"],
    settings: PairSettings,
) -> Int[ndarray, " example"]:
    """The tokens of each example's context, and the most that its next cells can have scored.

    Which successors are drawn changes from epoch to epoch, so the longest one counts. Ranks of the
    contrastive term are as many for each context.

    Args:
        cells: The current cell of each example.
        graph: Who may follow whom.
        num_genes: The length of each cell's encoding.
        settings: How pairs are made.
    """
    current = num_genes[cells]
    degree = graph.out_degree[cells]
    following = _longest_successor(graph, num_genes)[cells]
    if settings.successor_steps > 1:  # a walk may end at any cell
        following = np.full_like(following, num_genes.max())
    if settings.resampling_neighbors:  # a draw may have more genes than the measured cell
        following = np.full_like(following, settings.genes_per_cell)
    alone = {"identity": current, "random": np.full_like(current, num_genes.max())}
    if settings.no_neighbor_policy in alone:
        following = np.where(degree > 0, following, alone[settings.no_neighbor_policy])
    if settings.token_selection_policy == "intersection":
        following = np.minimum(following, current)
    if settings.token_selection_policy == "union":
        following = following + current
    most = settings.genes_per_cell
    next_cells = _next_cells(degree, len(num_genes), settings)
    scored = num_scored(np.minimum(following, most), settings.mask_prob)
    compared = min(most, NUM_RANKS) if settings.contrastive_weight else 0
    return np.minimum(current, most) + SPECIALS_PER_CONTEXT + next_cells * scored + compared


def _next_cells(
    degree: Int[ndarray, " example"], num_cells: int, settings: PairSettings
) -> Int[ndarray, " example"]:
    others = {"identity": 1, "random": num_cells - 1}.get(settings.no_neighbor_policy or "skip", 0)
    return np.minimum(np.where(degree > 0, degree, others), settings.next_cells_per_cell)


def _longest_successor(
    graph: NeighborGraph, num_genes: Int[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """The length of each cell's longest successor; 0 where there is none."""
    longest = np.zeros(graph.num_cells, dtype=np.int64)
    has_some = graph.out_degree > 0
    if has_some.any():
        lengths = num_genes[graph.indices]
        longest[has_some] = np.maximum.reduceat(lengths, graph.indptr[:-1][has_some])
    return longest
