"""What goes along from a cell to its next cell is found, however little it varies; else nothing."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.fates.fit_canonical_axes import fit_canonical_axes
from bionemo.geneformer_t.ragged import Ragged

GENES, FIRST = 30, 4
NUM_PAIRS = 400


def pairs_of(kept: float, seed: int = 0) -> tuple[Ragged, sp.csr_matrix, np.ndarray]:
    """Cells, of which each of the first half is followed by one of the second.

    A programme of ten genes varies much and anew in every cell. Another gene is high or low; its
    next cell has it so too with this probability.
    """
    rng = np.random.default_rng(seed)
    switch = rng.choice([-1.0, 1.0], NUM_PAIRS)
    after = np.where(rng.random(NUM_PAIRS) < kept, switch, -switch)
    states = np.concatenate([switch, after])
    values = rng.normal(scale=0.5, size=(2 * NUM_PAIRS, GENES))
    values[:, :10] += 3 * rng.normal(size=(2 * NUM_PAIRS, 1))
    values[:, 20] += 0.8 * states
    cells = Ragged.of([FIRST + np.argsort(-row) for row in values])
    rows = np.arange(NUM_PAIRS)
    graph = sp.csr_matrix(
        (np.ones(NUM_PAIRS), (rows, rows + NUM_PAIRS)), shape=(2 * NUM_PAIRS, 2 * NUM_PAIRS)
    )
    return cells, graph, states


def fitted(cells: Ragged, graph: sp.csr_matrix, seed: int = 1):
    rng = np.random.default_rng(seed)
    return fit_canonical_axes(cells.take, graph, GENES, FIRST + GENES, rng)


def test_a_gene_that_persists_is_found_beside_a_programme_that_varies_more() -> None:
    cells, graph, states = pairs_of(kept=0.95)
    axes = fitted(cells, graph)
    assert axes is not None
    point = axes.expected(cells)[:NUM_PAIRS, 0]
    assert abs(np.corrcoef(point, states[:NUM_PAIRS])[0, 1]) > 0.7
    assert np.abs(axes.of_current[:, 0]).argmax() == FIRST + 20
    fresh, _, _ = pairs_of(kept=0.95, seed=7)
    before, after = axes.expected(fresh)[:NUM_PAIRS, 0], axes.observed(fresh)[NUM_PAIRS:, 0]
    seen = np.corrcoef(before, after)[0, 1]
    assert axes.correlations[0] == pytest.approx(seen, abs=0.1)  # of folds, not of what was fitted


def test_next_cells_are_where_they_are_expected_to_a_standard_deviation() -> None:
    cells, graph, _ = pairs_of(kept=0.95)
    axes = fitted(cells, graph)
    fresh, _, _ = pairs_of(kept=0.95, seed=7)
    off = axes.observed(fresh)[NUM_PAIRS:, 0] - axes.expected(fresh)[:NUM_PAIRS, 0]
    assert off.mean() == pytest.approx(0, abs=0.15)
    assert off.std() == pytest.approx(1, abs=0.15)


def test_chance_is_not_taken_for_a_correlation() -> None:
    """An axis beyond two standard errors is left by chance in some, with little to say."""
    told: dict[float, list[float]] = {0.5: [], 0.95: []}
    for kept, found in told.items():
        for seed in range(6):
            cells, graph, _ = pairs_of(kept=kept, seed=seed)
            axes = fitted(cells, graph, seed)
            found.append(0.0 if axes is None else -0.5 * np.log1p(-(axes.correlations**2)).sum())
    assert np.mean(told[0.5]) < 0.1
    assert min(told[0.5]) == 0
    assert min(told[0.95]) > 0.15


@pytest.mark.parametrize("shared", ["current cells", "next cells"])
def test_pairs_that_share_a_cell_are_no_independent_evidence(shared) -> None:
    """40 current cells with 20 next cells each that are all but alike, or the other way round.

    Nothing goes along: by chance 1 axis in 44 is beyond two standard errors, 0.7 of 30, and some
    more for the penalty with most of them. With pairs as independent evidence, 4 and 7 were kept.
    """
    number, others, kept = 40, 20, []
    rows = np.repeat(np.arange(number), others)
    columns = number + np.arange(number * others)
    if shared == "next cells":
        rows, columns = columns, rows
    size = number * (1 + others)
    graph = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(size, GENES))
        alike = rng.normal(size=(number, GENES))
        values[number:] = np.repeat(alike, others, axis=0) + 0.1 * values[number:]
        cells = Ragged.of([FIRST + np.argsort(-row) for row in values])
        axes = fitted(cells, graph, seed)
        kept.append(0 if axes is None else len(axes))
    assert np.mean(kept) < 2


def test_the_result_is_that_of_the_seed() -> None:
    cells, graph, _ = pairs_of(kept=0.9)
    first, second = fitted(cells, graph), fitted(cells, graph)
    np.testing.assert_array_equal(first.of_current, second.of_current)
    np.testing.assert_array_equal(first.correlations, second.correlations)


@pytest.mark.parametrize("number", [0, 5, 19])
def test_few_pairs_have_no_axes(number) -> None:
    cells, graph, _ = pairs_of(kept=0.95)
    graph = graph.copy()
    graph.data[number:] = 0
    graph.eliminate_zeros()
    assert fitted(cells, graph) is None


@pytest.mark.parametrize("genes", [10, 1, 0])
def test_cells_that_are_all_alike_have_no_axes(genes) -> None:
    _, graph, _ = pairs_of(kept=0.95)
    cells = Ragged.of([np.arange(FIRST, FIRST + genes)] * 2 * NUM_PAIRS)
    assert fitted(cells, graph) is None


def test_axes_along_which_nothing_varies_are_left_out() -> None:
    """One gene is there or not, after all the others: there is one component, which persists."""
    _, graph, states = pairs_of(kept=0.95)
    genes = np.arange(FIRST, FIRST + GENES)
    cells = Ragged.of([genes if state > 0 else genes[:-1] for state in states])
    axes = fitted(cells, graph)
    assert len(axes) == 1
    assert np.flatnonzero(axes.of_current[:, 0]).tolist() == [FIRST + GENES - 1]


def test_a_fold_in_which_nothing_varies_says_nothing() -> None:
    _, graph, _ = pairs_of(kept=0.95)
    other = np.arange(FIRST, FIRST + 10)[::-1]
    cells = Ragged.of([np.arange(FIRST, FIRST + 10)] * (2 * NUM_PAIRS - 2) + [other] * 2)
    assert fitted(cells, graph) is None
