import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.data.sampling import (
    draw_others,
    draw_successors,
    drop_genes,
    generator,
    stream_keys,
    substreams,
    uniform,
    words,
)
from bionemo.geneformer_t.graph import NeighborGraph

WEIGHTS = np.array([1.0, 2.0, 5.0])


def graph() -> NeighborGraph:
    """Cell 0 is followed by 4, 5 and 6, cell 1 by none, cell 2 by 3."""
    rows, columns = np.array([0, 0, 0, 2]), np.array([4, 5, 6, 3])
    matrix = sp.coo_array((np.append(WEIGHTS, 1.0), (rows, columns)), shape=(7, 7))
    return NeighborGraph.from_matrix(matrix)[0]


def keys(number: int, seed: int = 0):  # type: ignore[no-untyped-def]
    return stream_keys(seed, np.arange(number), np.zeros(number, dtype=np.int64))


def test_successors_are_drawn_by_weight_or_all_alike() -> None:
    cells = np.zeros(20_000, dtype=np.int64)
    for by_weight, expected in ((True, WEIGHTS / 8), (False, np.full(3, 1 / 3))):
        context_of, drawn = draw_successors(graph(), cells, keys(20_000), 1, by_weight=by_weight)
        np.testing.assert_array_equal(context_of, np.arange(20_000))
        # The standard deviation of a share is below 0.0034.
        np.testing.assert_allclose(np.bincount(drawn)[4:] / 20_000, expected, atol=0.014)


@pytest.mark.parametrize("weights", [[1.0, 1e-320, 3e-320], [1e308, 1e-10, 3e-10]])
def test_the_last_of_extreme_weights_are_drawn_in_proportion(weights) -> None:
    """The largest always comes first; of the two others, whose clocks ring near infinity, one."""
    matrix = sp.coo_array((weights, ([0, 0, 0], [1, 2, 3])), shape=(4, 4))
    extreme, _ = NeighborGraph.from_matrix(matrix)
    cells = np.zeros(20_000, dtype=np.int64)
    drawn = draw_successors(extreme, cells, keys(20_000), 2, by_weight=True)[1].reshape(-1, 2)
    assert (drawn[:, 0] == 1).all()
    assert abs((drawn[:, 1] == 3).mean() - 0.75) < 0.014  # standard deviation 0.0031


def test_the_second_successor_is_drawn_from_the_rest() -> None:
    cells = np.zeros(20_000, dtype=np.int64)
    drawn = draw_successors(graph(), cells, keys(20_000), 2, by_weight=True)[1].reshape(-1, 2)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    second = drawn[drawn[:, 0] == 6, 1]
    assert abs((second == 5).mean() - 2 / 3) < 0.02  # standard deviation 0.0042


def test_cells_have_as_many_successors_as_there_are() -> None:
    cells = np.array([2, 1, 0, 2])
    context_of, drawn = draw_successors(graph(), cells, keys(4), 9, by_weight=True)
    assert context_of.tolist() == [0, 2, 2, 2, 3]
    assert [sorted(drawn[context_of == i].tolist()) for i in range(4)] == [[3], [], [4, 5, 6], [3]]


@given(st.integers(2, 9), st.integers(1, 12), st.integers(0, 99))
def test_others_are_different_numbers_without_the_one_left_out(
    size: int, number: int, seed: int
) -> None:
    left_out = np.arange(size)
    drawn = draw_others(size, left_out, keys(size, seed), number)
    assert drawn.shape == (size, min(number, size - 1))
    for cell, row in enumerate(drawn.tolist()):
        assert set(row) <= set(range(size)) - {cell}
        assert len(set(row)) == len(row)


def test_every_set_of_others_is_drawn_equally_often() -> None:
    drawn = draw_others(5, np.full(12_000, 1), keys(12_000), 2)
    sets, times = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    assert sets.tolist() == [[0, 2], [0, 3], [0, 4], [2, 3], [2, 4], [3, 4]]
    np.testing.assert_allclose(times / 12_000, 1 / 6, atol=0.014)  # standard deviation 0.0034


def test_genes_are_left_out_up_to_a_share_and_keep_their_order() -> None:
    cells = [np.arange(100, 300), np.arange(7), np.arange(1)]
    kept = [
        drop_genes(cells, stream_keys(0, np.full(3, epoch), np.arange(3)), 0.6)
        for epoch in range(200)
    ]
    shares = np.array([len(found[0]) / 200 for found in kept])
    assert 0.3 < shares.min() < 0.5
    assert shares.max() > 0.95
    assert shares.mean() == pytest.approx(0.7, abs=0.05)
    for found in kept:
        assert all((np.diff(cell) > 0).all() for cell in found)
        assert all(len(cell) for cell in found)
    again = drop_genes(cells, stream_keys(0, np.full(3, 7), np.arange(3)), 0.6)
    for one, two in zip(again, kept[7], strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_is_left_out_where_nothing_may_be() -> None:
    cells = [np.arange(5)]
    assert drop_genes(cells, stream_keys(0, np.zeros(1, int), np.zeros(1, int)), 0.0) is cells


def test_equal_arguments_draw_equal_numbers() -> None:
    draws = [generator(1, 2, 3).random(4) for _ in range(2)]
    np.testing.assert_array_equal(*draws)


def test_each_seed_epoch_and_cell_has_its_own_stream() -> None:
    values = (-1, 0, 1, 2, 2**40)
    streams = {generator(*key).bytes(16) for key in itertools.product(values, repeat=3)}
    assert len(streams) == len(values) ** 3


def test_first_draws_of_neighbouring_cells_are_uniform() -> None:
    draws = np.array(
        [generator(42, epoch, cell).random() for epoch in range(4) for cell in range(500)]
    )
    # The mean of 2,000 uniform numbers strays by 0.0065; neighbours are uncorrelated to 0.022.
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.1


def test_keys_differ_for_each_seed_epoch_cell_and_stream() -> None:
    values = np.array([0, 1, 2, 2**40, -1])
    epochs, cells = (grid.ravel() for grid in np.meshgrid(values, values))
    keys = [stream_keys(int(seed), epochs, cells) for seed in values]
    keys += [substreams(keys[1], number) for number in (0, 1, 2)]
    assert len(np.unique(np.concatenate(keys))) == 8 * 25
    np.testing.assert_array_equal(stream_keys(1, epochs[7:8], cells[7:8]), keys[1][7:8])
    np.testing.assert_array_equal(substreams(keys[1], np.full(25, 2)), keys[-1])


def test_a_stream_repeats_no_word() -> None:
    counters = np.arange(100_000)
    keys = np.repeat(stream_keys(3, np.array([1]), np.array([4])), len(counters))
    assert len(np.unique(words(keys, counters))) == len(counters)


def test_uniform_numbers_are_uniform_and_independent_within_and_between_streams() -> None:
    epochs, cells = (grid.ravel() for grid in np.meshgrid(np.arange(4), np.arange(500)))
    keys = np.repeat(stream_keys(42, epochs, cells), 50)
    drawn = uniform(keys, np.tile(np.arange(50), len(cells))).reshape(len(cells), 50)
    assert 0 < drawn.min() < 1e-3
    assert 1 - 1e-3 < drawn.max() < 1
    counts = np.histogram(drawn, bins=100, range=(0, 1))[0]
    chi_square = ((counts - drawn.size / 100) ** 2 / (drawn.size / 100)).sum()
    assert chi_square < 99 + 5 * np.sqrt(2 * 99)  # mean 99, standard deviation 14
    # Correlations of 100,000 pairs stray by 0.0032.
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.016
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.016
    other = uniform(substreams(keys, 1), np.tile(np.arange(50), len(cells)))
    assert abs(np.corrcoef(drawn.ravel(), other)[0, 1]) < 0.016
