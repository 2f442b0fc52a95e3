"""How often do the 95 % intervals of an evaluation hold the true value?

    python benchmarks/interval_coverage.py [--replicates 500] [--settings NAME ...] [--whole_cells]

The tree of `simulate` and three fitted predictors stay; cells, their counts and donors are drawn
anew in each replicate, and each is scored with its intervals. The true value is the mean of the
scores over all replicates: what varies is the current cells, the next cells and the donors. Beside
each interval is, for comparison, the percentile bootstrap over current cells (or donors). Verdicts
are counted where the evaluation gives them.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn
from jaxtyping import Float, Int
from measure import report
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor, Targets
from bionemo.geneformer_t.evaluate.intervals import (
    Interval,
    advantage,
    cross_entropy_interval,
)
from bionemo.geneformer_t.evaluate.partners import Partners, excess_interval, excesses, links_of
from bionemo.geneformer_t.evaluate.predictions import each_prediction
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.model.normalised_ranks import rank_weights
from bionemo.geneformer_t.simulation import (
    SimulationSettings,
    Tree,
    draw_programmes,
    known_successors,
)

NUM_GENES, NUM_RANKS, SPECIALS, COUNTS, STEP = 80, 32, 5, 300.0, 0.3
JUDGED = "ridge regression"
AGAINST = ("gene frequencies at each rank", "successors of similar cells")
SETTINGS = SimulationSettings(num_genes=NUM_GENES, counts_per_cell=COUNTS)
DONOR_SPREAD = 0.5
"""Standard deviation over donors of the log expression of each gene."""
OLD_DRAWS = 400


@dataclass(frozen=True)
class Cells:
    """Places on the tree, and genes in rank order."""

    branch: Int[ndarray, " cell"]
    time: Float[ndarray, " cell"]
    genes: list[Int[ndarray, " _"]]


@dataclass(frozen=True)
class World:
    """What stays the same in all replicates."""

    programmes: Any
    medians: Float[ndarray, " gene"]

    @classmethod
    def draw(cls) -> "World":
        """The tree, and the genes' medians over many cells."""
        rng = np.random.default_rng(1)
        programmes = draw_programmes(SETTINGS, Tree.forked(SETTINGS.num_branches), rng)
        counts = cls(programmes, np.ones(NUM_GENES))._counts(4000, rng, None)[2]
        return cls(programmes, np.array([np.median(gene[gene > 0]) for gene in counts.T]))

    def cells(self, number: int, rng: np.random.Generator, shift: ndarray | None = None) -> Cells:
        """New cells, spread evenly over the branches; a donor's shift is added to log levels."""
        branch, when, counts = self._counts(number, rng, shift)
        values = counts / self.medians
        ranked = [np.argsort(-v, kind="stable")[: (v > 0).sum()] + SPECIALS for v in values]
        return Cells(branch, when, ranked)

    def _counts(
        self, number: int, rng: np.random.Generator, shift: ndarray | None
    ) -> tuple[ndarray, ndarray, ndarray]:
        tree = self.programmes.tree
        branch = rng.permutation(np.arange(number) % len(tree.names))
        when = tree.starts[branch] + rng.random(number)
        depth = COUNTS * np.exp(rng.normal(0, SETTINGS.depth_spread, number))
        level = self.programmes.mean_expression(branch, when)
        level = level * (1.0 if shift is None else np.exp(shift))
        mean = depth[:, None] * level / level.sum(axis=1, keepdims=True)
        noise = rng.gamma(1 / SETTINGS.dispersion, SETTINGS.dispersion, mean.shape)
        return branch, when, rng.poisson(mean * noise)

    def pairs(self, genes: list[ndarray], graph: NeighborGraph) -> CellPairs:
        """A graph's edges as pairs."""
        return CellPairs.from_graph(
            graph, encode=genes.__getitem__, max_genes=NUM_RANKS,
            gene_ids=np.arange(SPECIALS, SPECIALS + NUM_GENES), vocab_size=SPECIALS + NUM_GENES,
        )  # fmt: skip

    def split(self, number: int, rng: np.random.Generator) -> CellPairs:
        """A split as `simulate` makes it: cells are current and next ones."""
        cells = self.cells(number, rng)
        return self.pairs(cells.genes, self._graph(cells))

    def shared(self, number: int, num_next: int, rng: np.random.Generator) -> CellPairs:
        """Current cells with successors among a few others: the nearest to one step ahead."""
        now, later = self.cells(number, rng), self.cells(num_next, rng)
        reach = self.programmes.tree.leads_to[now.branch][:, later.branch]
        ahead = later.time[None] - now.time[:, None]
        off = np.where(reach & (ahead > 0), np.abs(ahead - STEP), np.inf)
        near = np.argsort(off, axis=1)[:, : SETTINGS.num_successors]
        rows = np.repeat(np.arange(number), near.shape[1])
        columns, apart = near.ravel(), np.take_along_axis(off, near, axis=1).ravel()
        there = np.isfinite(apart)
        weights = np.maximum(np.exp(-0.5 * (apart / (STEP / 2)) ** 2), 1e-3)
        graph, _ = NeighborGraph.from_matrix(
            sp.coo_array(
                (weights[there], (rows[there], number + columns[there])),
                shape=(number + num_next,) * 2,
            )
        )
        return self.pairs([*now.genes, *later.genes], graph)

    def donors(
        self, sizes: ndarray, rng: np.random.Generator, *, across: bool = False
    ) -> tuple[CellPairs, ndarray]:
        """Cells of several donors, with successors of the same donor or of all."""
        some = [
            self.cells(int(size), rng, rng.normal(0, DONOR_SPREAD, NUM_GENES)) for size in sizes
        ]
        genes = [cell for cells in some for cell in cells.genes]
        whose = np.repeat(np.arange(len(sizes)), sizes.astype(np.int64))
        if across:
            branch, when = (
                np.concatenate([getattr(c, f) for c in some]) for f in ("branch", "time")
            )
            return self.pairs(genes, self._graph(Cells(branch, when, genes))), whose
        blocks = [self._graph(cells).to_matrix() for cells in some]
        graph, _ = NeighborGraph.from_matrix(sp.block_diag(blocks, format="csr"))
        return self.pairs(genes, graph), whose

    def _graph(self, cells: Cells) -> NeighborGraph:
        return known_successors(
            self.programmes.tree, cells.branch, cells.time, step=STEP,
            num_successors=SETTINGS.num_successors,
        )  # fmt: skip


@dataclass(frozen=True)
class Judges:
    """Fitted once: predictors, and the space of steps."""

    predictors: Mapping[str, Predictor]
    axes: Float[ndarray, "axis vocab"]

    @classmethod
    def fit(cls, world: World) -> "Judges":
        """On cells of their own."""
        rng = np.random.default_rng(3)
        pairs = world.split(300, rng)
        training = TrainingPairs.of(pairs, rng)
        cells = [pairs.encode(int(cell)) for cell in pairs.cells]
        return cls(
            {name: BASELINES[name](training, rng) for name in (JUDGED, *AGAINST)},
            ProfileSpace.fit(cells, NUM_RANKS, pairs.vocab_size).axes,
        )


Drawn = tuple[CellPairs, ndarray | None]
"""Pairs, and the donor of every cell."""


def settings_of(world: World) -> dict[str, Callable[[np.random.Generator], Drawn]]:
    """What is drawn anew in each replicate."""

    def uneven(number: int, rng: np.random.Generator) -> ndarray:
        return np.maximum(10, (25 * number * rng.dirichlet(np.full(number, 4.0))).astype(np.int64))

    return {
        "simulate, 60 cells": lambda rng: (world.split(60, rng), None),
        "simulate, 200 cells": lambda rng: (world.split(200, rng), None),
        "180 current, 76 next cells": lambda rng: (world.shared(180, 76, rng), None),
        "180 current, 30 next cells": lambda rng: (world.shared(180, 30, rng), None),
        "3 donors": lambda rng: world.donors(np.full(3, 25), rng),
        "5 donors": lambda rng: world.donors(np.full(5, 25), rng),
        "10 donors": lambda rng: world.donors(np.full(10, 25), rng),
        "5 uneven donors": lambda rng: world.donors(uneven(5, rng), rng),
        "5 donors, successors of any": lambda rng: world.donors(np.full(5, 25), rng, across=True),
        "180 current, 12 next cells": lambda rng: (world.shared(180, 12, rng), None),
        "simulate, 25 cells": lambda rng: (world.split(25, rng), None),
    }


@dataclass(frozen=True)
class Answer:
    """What one predictor did on one draw."""

    sums: CellSums
    expected: Float[ndarray, "cell vocab"]


def intervals_of(
    drawn: Drawn, judges: Judges, rng: np.random.Generator, *, whole_cells: bool = True
) -> dict[str, Any]:
    """Measure -> the interval, and that of the percentile bootstrap."""
    pairs, donors = drawn
    units, targets = Units.of(pairs, donors), list(pairs.targets())
    answers = {
        name: ask(predictor, pairs, targets, units) for name, predictor in judges.predictors.items()
    }
    times, own = old_draws(units, rng), answers[JUDGED].sums
    found: dict[str, Any] = {
        "cross-entropy": (cross_entropy_interval(own, units), old_interval(own.of_cells, times))
    }
    for name, label in zip(AGAINST, ("frequencies", "similar cells"), strict=True):
        other = answers[name].sums
        gains = np.column_stack([own.positions, other.sums[:, 0] - own.sums[:, 0]])
        found[f"gain over {label}"] = advantage(own, other, units), old_interval(gains, times)
    if whole_cells:
        both = [answers[name].expected for name in (JUDGED, AGAINST[1])]
        for measure, interval, values in whole_cell_gains(
            both, pairs, targets, units, judges.axes, rng
        ):
            found[f"gain in {measure}"] = (
                interval,
                old_interval(np.column_stack([np.ones(len(values)), values]), times),
            )
    return found


def whole_cell_gains(
    expected: list[ndarray],
    pairs: CellPairs,
    targets: list[Targets],
    units: Units,
    axes: Float[ndarray, "axis vocab"],
    rng: np.random.Generator,
) -> Iterator[tuple[str, Interval, ndarray]]:
    """What the first of two predictors gains over its null more than the second, and by cell."""
    profiles = PairProfiles.of(pairs, targets, NUM_RANKS)
    partners = Partners.of(len(targets), rng, links=links_of(pairs))
    one, other = (excesses(made, axes, profiles, units, partners) for made in expected)
    for measure in one:
        gain = one[measure] - other[measure]
        yield measure, excess_interval(gain, partners, units), gain.of_cells.mean(axis=0)


def ask(predictor: Predictor, pairs: CellPairs, targets: list[Targets], units: Units) -> Answer:
    """Cross-entropies and expected profiles; no other measure, to be fast."""
    of_pairs, expected = [], []
    for target, log_probs in each_prediction(predictor, pairs, targets, least_ranks=NUM_RANKS):
        of_pairs += [
            (len(genes), -float(log_probs[np.arange(len(genes)), genes].sum()))
            for genes in target.next_cells
        ]
        expected.append(rank_weights(NUM_RANKS) @ np.exp(log_probs[:NUM_RANKS]))
    table = np.array(of_pairs, dtype=np.float64)
    of_cells = units.levels[0].sums(table)
    sums = CellSums(
        cells=pairs.cells, positions=of_cells[:, 0], sums=of_cells[:, 1:], of_pairs=table
    )
    return Answer(sums, np.array(expected))


def old_draws(units: Units, rng: np.random.Generator) -> Int[ndarray, "draw cell"]:
    """How often each current cell is drawn; whole donors where there are several."""
    names, unit = np.unique(units.levels[-1].unit, return_inverse=True)
    number = len(names)
    return rng.multinomial(number, np.full(number, 1 / number), size=OLD_DRAWS)[:, unit]


def old_interval(sums: Float[ndarray, "cell 2"], times: ndarray) -> tuple[float, float]:
    """The percentile bootstrap of the second sum over the first."""
    drawn = times @ sums
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
    return float(low), float(high)


def coverage(
    name: str, found: list[dict[str, Any]], numbers: list[tuple[float, ...]]
) -> list[dict[str, Any]]:
    """One setting: for each measure how often the mean of all replicates was held."""
    rows = []
    for measure in found[0]:
        new: list[Interval] = [one[measure][0] for one in found]
        old = np.array([one[measure][1] for one in found])
        truth = np.mean([one.mean for one in new])
        held = np.array([one.low <= truth <= one.high for one in new])
        width = np.mean([one.high - one.low for one in new])
        rows.append({
            "setting": name,
            "measure": measure,
            "current": round(float(np.mean([n[0] for n in numbers])), 1),
            "next": round(float(np.mean([n[1] for n in numbers])), 1),
            "verdicts": float(np.mean([one.is_enough for one in new])),
            "coverage": float(held.mean()),
            "before": float(((old[:, 0] <= truth) & (truth <= old[:, 1])).mean()),
            "width / before": float(width / np.mean(old[:, 1] - old[:, 0])),
        })  # fmt: skip
    return rows


def main() -> None:
    """Measure, and print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--settings", nargs="+")
    parser.add_argument("--whole_cells", action="store_true", help="change and direction too")
    parser.add_argument("--no_result", action="store_true", help="write no dated result")
    options = parser.parse_args()
    world = World.draw()
    judges, settings = Judges.fit(world), settings_of(world)
    rows = []
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)  # to be fast
    for name in options.settings or settings:
        rng, started = np.random.default_rng(0), time.perf_counter()
        found, numbers = [], []
        for _ in range(options.replicates):
            drawn = settings[name](rng)
            found.append(intervals_of(drawn, judges, rng, whole_cells=options.whole_cells))
            numbers.append(Units.of(*drawn).levels[-1].effective())
        rows += coverage(name, found, numbers)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    report("interval_coverage", rows, replicates=options.replicates, write=not options.no_result)


if __name__ == "__main__":
    main()
