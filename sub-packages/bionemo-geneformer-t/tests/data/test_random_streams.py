import itertools

import numpy as np

from bionemo.geneformer_t.data.random_streams import (
    generator,
    stream_keys,
    substreams,
    uniform,
    words,
)


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
