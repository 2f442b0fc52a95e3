import itertools

import numpy as np

from bionemo.geneformer_t.data.randomness import generator


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
