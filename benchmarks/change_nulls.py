"""Which measures of change tell a perfect prediction from a guess, and which null is zero?

    python benchmarks/change_nulls.py [--cells 200] [--replicates 30]

Cells of the tree of `simulate`. The perfect predictor is the mean of next cells simulated at the
true place of each current cell. For each measure: its value, and its excess over the null that
shares the current cell (`evaluate/partners.py`), with the standard error over replicates; then its
excess where successors are drawn from all other cells of the cluster, which should be 0, and the
same with partners that may follow or precede the cell, which is not. A standard error of few
replicates is itself uncertain: of three, it is less than half of the true one in a fifth of all
cases.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from interval_coverage import COUNTS, NUM_RANKS, SETTINGS, SPECIALS, STEP, Cells, Judges, World
from jaxtyping import Float, Int
from measure import report
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.evaluate.partners import Partners, Score, excess_of, links_of
from bionemo.geneformer_t.evaluate.predictions import each_prediction
from bionemo.geneformer_t.evaluate.scores.expression_change import (
    change_correlation,
    rank_correlation_of_changes,
    same_directions,
)
from bionemo.geneformer_t.evaluate.scores.profiles import (
    PairProfiles,
    cell_profiles,
)
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines
from bionemo.geneformer_t.evaluate.simulator_bound import draw_places
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.model.normalised_ranks import rank_weights

DRAWS, GRAPHS = 200, 5
NAMES = (
    "successors of similar cells",
    "ridge regression",
    "copying the current cell",
    "gene frequencies at each rank",
    "guessing among all genes",
)


def measures(axes: Float[ndarray, "axis vocab"]) -> dict[str, Score]:
    """All measures of change."""

    def closer(predicted: ndarray, current: ndarray, following: ndarray) -> ndarray:
        off, far = ((x - following) @ axes.T for x in (predicted, current))
        return (np.linalg.norm(off, axis=1) < np.linalg.norm(far, axis=1)).astype(float)

    return {
        "change, pearson": change_correlation,
        "change, spearman": rank_correlation_of_changes,
        "change, top 50 the same way": lambda p, c, f: same_directions(p - c, f - c, (50,))[50],
        "closer": closer,
        "direction, cosine": lambda p, c, f: cosines((p - c) @ axes.T, (f - c) @ axes.T),
    }


def perfect(world: World, cells: Cells, rng: np.random.Generator) -> Float[ndarray, "cell vocab"]:
    """Mean profiles of next cells at the true places."""
    settings, found = replace(SETTINGS, step=STEP), []
    for branch, time in zip(cells.branch, cells.time, strict=True):
        try:
            branches, times, weights = draw_places(
                world.programmes.tree, int(branch), float(time), settings, len(cells.time), DRAWS,
                rng,
            )  # fmt: skip
        except ValueError:  # the end of the tree: no current cell
            found.append(np.zeros(SPECIALS + SETTINGS.num_genes))
            continue
        depth = COUNTS * np.exp(rng.normal(0, SETTINGS.depth_spread, len(times)))
        counts = world.programmes.sample_counts(branches, times, depth, rng).toarray()
        values = counts / world.medians
        ranked = [np.argsort(-v, kind="stable")[: (v > 0).sum()] + SPECIALS for v in values]
        profiles = cell_profiles(ranked, NUM_RANKS, SPECIALS + SETTINGS.num_genes).toarray()
        found.append(weights @ profiles / weights.sum())
    return np.array(found)


def expected(predictor: Predictor, pairs: CellPairs) -> Float[ndarray, "cell vocab"]:
    """Expected profiles of the current cells."""
    return np.array(
        [
            rank_weights(NUM_RANKS) @ np.exp(rows[:NUM_RANKS])
            for _, rows in each_prediction(predictor, pairs, least_ranks=NUM_RANKS)
        ]
    )


def trial(
    world: World,
    axes: ndarray,
    predictors: Mapping[str, Predictor],
    number: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], tuple[float, ...]]:
    """(measure, predictor) -> value, excess, and excesses where successors are independent."""
    cells = world.cells(number, rng)
    pairs = world.pairs(cells.genes, world._graph(cells))
    rows = pairs.cells
    current, following = profiles_of(pairs)
    clusters = cells.branch[rows]
    partner = Partners.of(len(rows), rng, cells.time[rows], clusters, links_of(pairs)).of_cell[0]
    nulls = []
    for _ in range(GRAPHS):
        drawn = world.pairs(cells.genes, independent(rows, cells.branch, rng))
        partners = (
            Partners.of(len(rows), rng, None, clusters, links).of_cell[0]
            for links in (links_of(drawn), None)
        )
        nulls.append((profiles_of(drawn)[1], *partners))
    made = {name: expected(predictor, pairs) for name, predictor in predictors.items()}
    made = {"perfect": perfect(world, cells, rng)[rows], **made}
    found = {}
    for measure, score in measures(axes).items():
        for name, predicted in made.items():
            arrays = predicted, current, following
            excesses = [
                [excess_of(score, (predicted, current, then), other).mean() for other in others]
                for then, *others in nulls
            ]
            found[measure, name] = (
                float(np.nanmean(np.nan_to_num(score(*arrays)))),
                float(excess_of(score, arrays, partner).mean()),
                *np.mean(excesses, axis=0).tolist(),
            )
    return found


def profiles_of(pairs: CellPairs) -> tuple[ndarray, ndarray]:
    """Profiles of current cells, and mean ones of their next cells."""
    return PairProfiles.of(pairs, list(pairs.targets()), NUM_RANKS).dense


def independent(
    rows: Int[ndarray, " current"], clusters: Int[ndarray, " cell"], rng: np.random.Generator
) -> NeighborGraph:
    """Successors that are any other cells of the cluster."""
    number = SETTINGS.num_successors
    columns = []
    for row in rows:
        others = np.flatnonzero(clusters == clusters[row])
        columns.append(rng.choice(others[others != row], number, replace=False))
    edges = np.ones(number * len(rows)), (np.repeat(rows, number), np.concatenate(columns))
    graph, _ = NeighborGraph.from_matrix(sp.coo_array(edges, shape=(len(clusters),) * 2))
    return graph


def main() -> None:
    """Measure, and print the table and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--no_result", action="store_true", help="write no dated result")
    options = parser.parse_args()
    world, rng = World.draw(), np.random.default_rng(0)
    judges = Judges.fit(world)
    pairs = world.split(300, rng)
    training = TrainingPairs.of(pairs, rng)
    predictors = {name: BASELINES[name](training, rng) for name in NAMES}
    trials = [
        trial(world, judges.axes, predictors, options.cells, rng) for _ in range(options.replicates)
    ]
    rows = []
    for measure, name in trials[0]:
        values = np.array([one[measure, name] for one in trials])
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(trials))
        rows.append({
            "measure": measure,
            "predictor": name,
            "value": round(float(mean[0]), 3),
            "excess": round(float(mean[1]), 4),
            "its error": round(float(error[1]), 4),
            "excess, independent": round(float(mean[2]), 4),
            "its error, independent": round(float(error[2]), 4),
            "excess, partners of any kind": round(float(mean[3]), 4),
            "its error, partners of any kind": round(float(error[3]), 4),
        })  # fmt: skip
        print(" | ".join(str(value) for value in rows[-1].values()), flush=True)
    if not options.no_result:
        report("change_nulls", rows)


if __name__ == "__main__":
    main()
