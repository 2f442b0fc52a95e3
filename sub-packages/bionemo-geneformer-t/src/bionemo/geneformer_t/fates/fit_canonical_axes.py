"""Fit canonical axes to pairs of training cells, and measure their correlations on others.

Pairs are few and genes many, so that the largest correlations of the fitted pairs are chance. Three
things are done about it: cells are seen along their leading principal components; a penalty is
added to the variances (the canonical ridge of Vinod 1976), that with the most information in cells
that had no part in the fit; and the correlations are those of such cells, in folds. Axes are kept
whose correlation there is beyond two standard errors of 0; cells are the units of these errors, not
pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.normalised_ranks import rank_table
from bionemo.geneformer_t.ragged import Ragged

MAX_CELLS = 2_000
"""Current cells whose pairs are used, drawn at random where there are more."""
SUCCESSORS = 10
"""Next cells of each that are used, drawn by their probability where there are more."""
MAX_COMPONENTS = 500
MAX_AXES = 30
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""In variances of a gene."""
FOLDS = 5
LEAST_DETECTED = 0.02
"""Fraction of the cells in which a gene must be for its rank to count."""
LEAST_PAIRS = 20
"""Pairs that must be left in the folds."""
_STANDARD_ERRORS = 2.0
_HIGHEST = 0.99
"""Correlation that is taken for higher ones: the variance that is left is not known so well."""
_LEAST_VARIANCE = 1e-6
"""Of a component, relative to the largest."""
_CELLS_AT_ONCE = 1_024

Read = Callable[[Int[ndarray, " row"]], Ragged]
"""Rows of cells -> their genes in rank order."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of cells that are held, each current cell with the same weight."""

    current: Int[ndarray, " pair"]
    """Places of the current cells among those that are held."""
    following: Int[ndarray, " pair"]
    weights: Float[ndarray, " pair"]
    """Of each current cell they sum to 1."""

    def only(self, kept: ndarray) -> "Pairs":
        """Some of the pairs, the weights as they are."""
        return Pairs(
            current=self.current[kept], following=self.following[kept], weights=self.weights[kept]
        )


@dataclass(frozen=True, kw_only=True)
class _Components:
    """Principal components of standardised ranks, as a map from normalised ranks."""

    weights: Float[ndarray, "token component"]
    shift: Float[ndarray, " component"]

    def of(self, cells: Ragged, num_ranks: int) -> Float[ndarray, "cell component"]:
        found = [
            rank_table(cells.take(rows), num_ranks, len(self.weights)) @ self.weights - self.shift
            for rows in np.array_split(
                np.arange(len(cells)), max(1, -(-len(cells) // _CELLS_AT_ONCE))
            )
        ]
        return np.concatenate(found).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class _Solution:
    """Axes for one penalty: of variance 1 in the pairs that they were fitted to."""

    current: Float[ndarray, "component axis"]
    current_mean: Float[ndarray, " component"]
    following: Float[ndarray, "component axis"]
    following_mean: Float[ndarray, " component"]


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    """How axes do on pairs that had no part in them."""

    correlations: Float[ndarray, " axis"]
    current_sd: Float[ndarray, " axis"]
    following_sd: Float[ndarray, " axis"]
    errors: Float[ndarray, " axis"]
    """Standard error of each, if it is 0."""

    @property
    def kept(self) -> ndarray:
        """Axes that go together beyond chance."""
        return np.flatnonzero(self.correlations > _STANDARD_ERRORS * self.errors)

    @property
    def information(self) -> float:
        """Of current and next cell about each other, in nats."""
        kept = np.minimum(self.correlations[self.kept], _HIGHEST)
        return float(-0.5 * np.log1p(-(kept**2)).sum())


def axes_of_split(
    training: TemporalGeneformerDataset, num_ranks: int, rng: np.random.Generator
) -> CanonicalAxes | None:
    """The axes of the pairs of a split.

    Args:
        training: Cells and successors.
        num_ranks: Ranks that count, those that the model reads.
        rng: Draws cells and folds.
    """

    def read(rows: Int[ndarray, " row"]) -> Ragged:
        return Ragged.of(
            [np.asarray(genes, np.int64)[:num_ranks] for genes in training.tokens.rows_of(rows)]
        )

    graph = training.graph.to_matrix()
    return fit_canonical_axes(read, graph, num_ranks, len(training.vocab), rng)


def fit_canonical_axes(
    read: Read, graph: sp.csr_matrix, num_ranks: int, vocab_size: int, rng: np.random.Generator
) -> CanonicalAxes | None:
    """Fit axes to the pairs of a graph; None where there are too few, or where nothing goes along.

    Args:
        read: Reads cells of the graph.
        graph: Cells x cells, with the probabilities of successors, none of them 0; current cells
            in rows.
        num_ranks: Ranks that count.
        vocab_size: Tokens of the vocabulary.
        rng: Draws cells and folds.
    """
    rows, pairs = _drawn(graph, rng)
    if len(pairs.current) < LEAST_PAIRS:
        return None
    cells = read(rows)
    components = _components(cells, num_ranks, vocab_size, rng)
    if components is None:
        return None
    points = components.of(cells, num_ranks)
    held_out = _held_out(points, pairs, rng)
    if held_out is None:
        return None
    penalty, best = max(held_out.items(), key=lambda found: found[1].information)
    if not len(best.kept):
        return None
    solution = _Solver(points, pairs).solve(penalty)
    correlations = np.minimum(best.correlations[best.kept], _HIGHEST)
    unexplained = np.sqrt(1 - correlations**2)
    to_current = solution.current[:, best.kept] * (
        correlations / (best.current_sd[best.kept] * unexplained)
    )
    to_next = solution.following[:, best.kept] / (best.following_sd[best.kept] * unexplained)
    return CanonicalAxes(
        of_current=(components.weights @ to_current).astype(np.float32),
        current_shift=((components.shift + solution.current_mean) @ to_current).astype(np.float32),
        of_next=(components.weights @ to_next).astype(np.float32),
        next_shift=((components.shift + solution.following_mean) @ to_next).astype(np.float32),
        correlations=correlations.astype(np.float32),
        num_ranks=num_ranks,
        penalty=penalty,
    )


def _drawn(graph: sp.csr_matrix, rng: np.random.Generator) -> tuple[Int[ndarray, " held"], Pairs]:
    """Rows of the cells that are held, and the pairs among them."""
    current = rng.permutation(np.flatnonzero(np.diff(graph.indptr)))[:MAX_CELLS]
    chosen = []
    for row in np.sort(current).tolist():
        edges = np.arange(graph.indptr[row], graph.indptr[row + 1])
        if len(edges) > SUCCESSORS:
            shares = graph.data[edges] / graph.data[edges].sum()
            edges = rng.choice(edges, SUCCESSORS, replace=False, p=shares)
        chosen.append((row, edges))
    before = np.concatenate(
        [np.full(len(edges), row) for row, edges in chosen] or [np.zeros(0, int)]
    )
    edges = np.concatenate([edges for _, edges in chosen] or [np.zeros(0, int)])
    after, weights = graph.indices[edges], graph.data[edges].astype(np.float64)
    rows, places = np.unique(np.concatenate([before, after]), return_inverse=True)
    total = np.bincount(before, weights, minlength=graph.shape[0])
    return rows, Pairs(
        current=places[: len(before)],
        following=places[len(before) :],
        weights=weights / total[before],
    )


def _components(
    cells: Ragged, num_ranks: int, vocab_size: int, rng: np.random.Generator
) -> _Components | None:
    """Principal components of the cells' ranks, each gene with variance 1; None if none varies."""
    some = np.sort(rng.permutation(len(cells))[:MAX_CELLS])
    table = rank_table(cells.take(some), num_ranks, vocab_size).tocsc()
    detected = np.diff(table.indptr) >= max(2, LEAST_DETECTED * len(some))
    genes = np.flatnonzero(detected)
    ranks = table[:, genes].toarray()
    varies = (ranks != ranks[0]).any(axis=0)  # rounding gives equal ranks a deviation above 0
    if not varies.any():
        return None
    genes, ranks = genes[varies], ranks[:, varies]
    mean, deviation = ranks.mean(axis=0), ranks.std(axis=0)
    directions = _leading_directions((ranks - mean) / deviation)
    weights = np.zeros((vocab_size, directions.shape[1]), dtype=np.float32)
    weights[genes] = directions / deviation[:, None]
    return _Components(weights=weights, shift=mean @ weights[genes])


def _leading_directions(
    standard: Float[ndarray, "cell gene"],
) -> Float[ndarray, "gene component"]:
    """Right singular vectors, by the smaller of the two products of the matrix with itself."""
    by_cells = standard.shape[0] < standard.shape[1]
    gram = (standard @ standard.T if by_cells else standard.T @ standard).astype(np.float64)
    variances, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(variances > _LEAST_VARIANCE * variances[-1])[::-1][:MAX_COMPONENTS]
    vectors = vectors[:, kept]
    if by_cells:
        vectors = standard.T @ (vectors / np.sqrt(variances[kept])).astype(standard.dtype)
    return vectors.astype(np.float32)


class _Solver:
    """Covariances of pairs, from which the axes for any penalty follow."""

    def __init__(self, points: Float[ndarray, "cell component"], pairs: Pairs) -> None:
        weights = pairs.weights / pairs.weights.sum()
        before, after = points[pairs.current], points[pairs.following]
        self.means = weights @ before, weights @ after
        before, after = before - self.means[0], after - self.means[1]
        weighted = weights[:, None] * after
        self.of_current = (weights[:, None] * before).T @ before
        self.of_next = weighted.T @ after
        self.between = before.T @ weighted
        self.spectra = np.linalg.eigh(self.of_current), np.linalg.eigh(self.of_next)

    def solve(self, penalty: float) -> _Solution:
        """The axes of the highest correlations, of variance 1."""
        roots = []
        for variances, vectors in self.spectra:
            scales = 1 / np.sqrt(np.maximum(variances, 0) + penalty)
            roots.append((vectors * scales) @ vectors.T)
        left, right = _leading_singular_vectors(roots[0] @ self.between @ roots[1])
        return _Solution(
            current=_of_variance_1(roots[0] @ left, self.of_current),
            current_mean=self.means[0],
            following=_of_variance_1(roots[1] @ right, self.of_next),
            following_mean=self.means[1],
        )


def _of_variance_1(
    axes: Float[ndarray, "component axis"], covariance: Float[ndarray, "component component"]
) -> Float[ndarray, "component axis"]:
    """The axes, scaled; 0 for those along which nothing varies."""
    variances = np.einsum("pa,pq,qa->a", axes, covariance, axes)
    return _divided(axes, np.sqrt(np.maximum(variances, 0)))


def _divided(values: ndarray, by: Float[ndarray, " axis"]) -> ndarray:
    """The quotient; 0 where it would be one by 0."""
    found: ndarray = np.divide(values, by, out=np.zeros_like(values), where=by > 0)
    return found


def _leading_singular_vectors(
    matrix: Float[ndarray, "row column"],
) -> tuple[Float[ndarray, "row axis"], Float[ndarray, "column axis"]]:
    """Left and right singular vectors of the largest singular values, the right ones not scaled.

    They are eigenvectors of the matrix times its transpose: a singular value decomposition by
    divide and conquer does not converge for some matrices of these.
    """
    size = len(matrix)
    first = max(size - MAX_AXES, 0)
    _, vectors = scipy.linalg.eigh(matrix @ matrix.T, subset_by_index=(first, size - 1))
    left = vectors[:, ::-1]
    return left, matrix.T @ left


def _held_out(
    points: Float[ndarray, "cell component"], pairs: Pairs, rng: np.random.Generator
) -> dict[float, _HeldOut] | None:
    """For each penalty, the axes on pairs of a fold, of which neither cell was fitted."""
    fold_of = rng.permutation(len(points)) % FOLDS
    folds = fold_of[pairs.current], fold_of[pairs.following]
    found: dict[float, list[tuple[ndarray, ndarray]]] = {penalty: [] for penalty in PENALTIES}
    rows = []
    for fold in range(FOLDS):
        inside = np.flatnonzero((folds[0] == fold) & (folds[1] == fold))
        outside = (folds[0] != fold) & (folds[1] != fold)
        if not len(inside) or outside.sum() < LEAST_PAIRS:
            continue
        judged, solver = pairs.only(inside), _Solver(points, pairs.only(outside))
        rows.append(inside)
        for penalty in PENALTIES:
            axes = solver.solve(penalty)
            before = (points[judged.current] - axes.current_mean) @ axes.current
            after = (points[judged.following] - axes.following_mean) @ axes.following
            found[penalty].append((before, after))
    if sum(map(len, rows)) < LEAST_PAIRS:
        return None
    judged = pairs.only(np.concatenate(rows))
    return {
        penalty: _correlated(
            np.concatenate([before for before, _ in parts]),
            np.concatenate([after for _, after in parts]),
            judged,
        )
        for penalty, parts in found.items()
    }


def _correlated(
    before: Float[ndarray, "pair axis"], after: Float[ndarray, "pair axis"], pairs: Pairs
) -> _HeldOut:
    """Correlations along each axis, and how far from 0 they would be by chance.

    Pairs that share a cell are not independent. The correlation is a sum over current cells, of the
    cell's own value times the weighted sum of its next cells'. If current cells could trade places,
    it would have the variance of these sums, added up; if next cells could, that of the others. The
    larger one is taken.
    """
    weights = pairs.weights / pairs.weights.sum()
    before, after = before - weights @ before, after - weights @ after
    sds = np.sqrt(weights @ before**2), np.sqrt(weights @ after**2)
    before, after = _divided(before, sds[0]), _divided(after, sds[1])
    weighted = weights[:, None]
    variances = (
        _sums_of(pairs.current, weighted * after) ** 2,
        _sums_of(pairs.following, weighted * before) ** 2,
    )
    return _HeldOut(
        correlations=weights @ (before * after),
        current_sd=sds[0],
        following_sd=sds[1],
        errors=np.sqrt(np.maximum(*(squares.sum(axis=0) for squares in variances))),
    )


def _sums_of(
    cells: Int[ndarray, " pair"], values: Float[ndarray, "pair axis"]
) -> Float[ndarray, "cell axis"]:
    """Sums over the pairs of each cell."""
    found, place = np.unique(cells, return_inverse=True)
    sums = np.zeros((len(found), values.shape[1]))
    np.add.at(sums, place, values)
    return sums
