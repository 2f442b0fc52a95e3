"""Fitting a kNN prediction: the right number, width and weights win; no cell finds itself."""

from dataclasses import replace

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.evaluation_pairs import draw_positions
from bionemo.geneformer_t.evaluate.knn_fit import NUMBERS, Query, fit_knn, index_of


def queries_of(targets, index, points, itself, seed=0) -> list[Query]:
    """Every position of every next cell; the other distribution is uniform over 20 genes."""
    rng, found = np.random.default_rng(seed), []
    for target, point, place in zip(targets, points, itself, strict=True):
        ranks, genes, weights = draw_positions(target, rng)
        found.append(
            Query(
                searches={"only": (index, point)}, itself=place, ranks=ranks, genes=genes,
                weights=weights, others=np.full((len(ranks), 1), 1 / 20),
            )
        )  # fmt: skip
    return found


@pytest.fixture
def two_kinds(split_of):
    """Forty cells of two kinds; each is followed by a cell of its kind."""
    rng = np.random.default_rng(0)
    kinds = [np.arange(5, 10), np.arange(15, 20)]
    cells = [rng.permutation(kinds[i % 2]) for i in range(40)]
    return split_of(cells, {i: {(i + 2) % 40: 1.0} for i in range(40)})


def points_of(targets) -> np.ndarray:
    return np.array([[float(target.cell % 2)] for target in targets], dtype=np.float32)


def test_no_more_cells_are_taken_than_are_of_the_kind(two_kinds) -> None:
    """Nineteen others are of a cell's kind, and the successors of all beyond tell it nothing."""
    targets = list(two_kinds.targets())
    points = points_of(targets)
    index = index_of(two_kinds, targets, points)
    itself = list(range(len(targets)))
    chosen = fit_knn(queries_of(targets, index, points, itself))
    assert chosen.number in {5, 15}
    assert chosen.weights[0] > 0.95
    assert sum(chosen.weights) == pytest.approx(1)
    assert chosen.cross_entropy == pytest.approx(np.log(5), abs=0.15)


def test_what_is_held_out_is_not_found_through_itself(split_of) -> None:
    """Every cell has a successor of its own kind alone: only its own entry could tell."""
    cells = [[5 + i] for i in range(14)]
    pairs = split_of(cells, {i: {i + 7: 1.0} for i in range(7)})
    targets = list(pairs.targets())
    points = np.arange(7, dtype=np.float32)[:, None]
    index = index_of(pairs, targets, points)
    honest = fit_knn(queries_of(targets, index, points, list(range(7))))
    leaky = fit_knn(queries_of(targets, index, points, [None] * 7))
    assert honest.cross_entropy == pytest.approx(np.log(20), abs=0.01)
    assert leaky.cross_entropy < honest.cross_entropy - 0.5
    assert honest.number in (*NUMBERS, 7)


def test_the_space_in_which_kinds_are_apart_is_chosen(two_kinds) -> None:
    targets, rng = list(two_kinds.targets()), np.random.default_rng(0)
    spaces = {"kinds": points_of(targets), "noise": rng.random((40, 3)).astype(np.float32)}
    itself = list(range(40))
    both = [
        queries_of(targets, index_of(two_kinds, targets, points), points, itself)
        for points in spaces.values()
    ]
    queries = [
        replace(one, searches={"noise": other.searches["only"], "kinds": one.searches["only"]})
        for one, other in zip(*both, strict=True)
    ]
    assert fit_knn(queries).space == "kinds"


def test_ten_axes_are_chosen_where_ten_say_what_follows(split_of) -> None:
    """Each of ten axes decides between two genes of the next cell; forty others decide nothing."""
    rng = np.random.default_rng(0)
    signs = rng.integers(0, 2, (220, 10))
    following = [rng.permutation(5 + 2 * np.arange(10) + row) for row in signs]
    pairs = split_of([[5]] * 220 + following, {i: {220 + i: 1.0} for i in range(220)}, 10)
    points = np.hstack([signs, rng.integers(0, 2, (220, 40))]).astype(np.float32)
    fitted = pairs.keep(pairs.current < 160)
    index = index_of(fitted, list(fitted.targets()), points[:160])
    held_out = list(pairs.targets())[160:]
    queries = [
        replace(
            query,
            searches={
                number: (replace(index, points=index.points[:, :number]), point[:number])
                for number in (5, 10, 20, 50)
            },
        )
        for query, point in zip(
            queries_of(held_out, index, points[160:], [None] * 60), points[160:], strict=True
        )
    ]
    assert fit_knn(queries).space == 10
