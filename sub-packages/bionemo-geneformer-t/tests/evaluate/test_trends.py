import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.trends import (
    STRETCHES,
    _averaging,
    gene_trends,
    most_changed,
    stretches,
)

SWITCHED, STEADY = 5, 6


@pytest.fixture
def chain(split_of):
    """Gene 5 takes the lead from gene 7 in the middle of the chain; gene 6 stays second."""
    cells = [[7, STEADY, 5] if i < 20 else [SWITCHED, STEADY, 7] for i in range(40)]
    return split_of(cells, {i: {i + 5: 1.0} for i in range(35)})


def seer(pairs):
    """Knows each current cell's successor: contexts are asked in the order of the cells."""
    answers = iter(list(pairs.targets()))

    def predict(contexts, num_ranks):
        table = np.full((len(contexts), num_ranks, pairs.vocab_size), -np.inf)
        for row in table:
            genes = next(answers).next_cells[0][:num_ranks]
            row[np.arange(len(genes)), genes] = 0.0
        return table

    return predict


def guess(contexts, num_ranks):
    return np.full((len(contexts), num_ranks, 25), -np.log(25))


def test_a_perfect_prediction_lies_on_the_true_next_cells(chain) -> None:
    place = np.arange(40.0)
    found = gene_trends(seer(chain), chain, place, np.zeros(0, dtype=np.int64), 2)
    assert found.predicted.mean == pytest.approx(found.following.mean)
    assert found.agreement == pytest.approx(np.ones(2))


def test_genes_that_change_are_found_and_named_ones_stand_first(chain) -> None:
    place = np.arange(40.0)
    found = gene_trends(guess, chain, place, np.array([STEADY]), 5)
    assert found.genes[0] == STEADY
    assert found.num_named == 1
    assert set(found.genes[1:].tolist()) == {5, 7}
    again = gene_trends(guess, chain, place, np.array([SWITCHED]), 5)
    assert again.genes.tolist() == [5, 7]


def test_curves_are_means_of_the_cells_of_a_stretch(chain) -> None:
    days = np.where(np.arange(40) < 15, 1.0, 2.0)
    found = gene_trends(guess, chain, days, np.array([SWITCHED]), 0)
    assert found.position == pytest.approx([1.0, 2.0])
    assert found.num_cells.tolist() == [15, 20]
    assert found.following.mean[:, 0] == pytest.approx([1 / 3, 1.0])
    assert found.current.mean[:, 0] == pytest.approx([1 / 3, (5 * 1 / 3 + 15) / 20])
    assert found.following.half[:, 0] == pytest.approx([0, 0], abs=1e-6)


def test_cells_without_a_place_are_counted_and_left_out(chain) -> None:
    place = np.where(np.arange(40) % 2 == 0, np.nan, np.arange(40))
    found = gene_trends(guess, chain, place, np.array([SWITCHED]), 0)
    assert found.num_unplaced == 18
    assert found.num_cells.sum() == 17
    with pytest.raises(ValueError, match="none of the 35 current cells has a place"):
        gene_trends(guess, chain, np.full(40, np.nan), np.array([SWITCHED]), 0)


def test_stretches_are_time_points_or_equally_many_cells() -> None:
    assert stretches(np.array([2.0, 1.0, 2.0])).tolist() == [1, 0, 1]
    many = np.bincount(stretches(np.random.default_rng(0).random(500)))
    assert many.tolist() == [50] * STRETCHES
    skewed = stretches(np.concatenate([np.zeros(300), np.arange(100.0)]))
    assert np.unique(skewed).tolist() == list(range(skewed.max() + 1))


def test_genes_of_noise_are_not_chosen_before_those_of_signal() -> None:
    # 200 genes of noise with a standard deviation of 0.3, and one that changes by 0.1 everywhere
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, size=(120, 200))
    steady = np.full((120, 1), 0.1) + rng.normal(0, 0.05, size=(120, 1))
    change = sp.csr_matrix(np.hstack([noise, steady]))
    averaging = _averaging(np.arange(120) // 12)
    chosen = most_changed(averaging, change, np.arange(201))
    assert chosen[0] == 200
    assert len(chosen) - 1 < 10  # about two
    by_size = np.argsort(-((averaging @ change.toarray()) ** 2).sum(axis=0))
    assert by_size[0] != 200
