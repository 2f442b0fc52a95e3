import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.data.sampling import stream_keys
from bionemo.geneformer_t.data.successor_walks import draw_lengths, walk_on
from bionemo.geneformer_t.graph import NeighborGraph

NUMBER = 20_000
CHAIN = np.array(
    [
        [0.0, 0.25, 0.75, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.4, 0.6],
        [0.0, 0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
"""Cell 4 has no successors."""


def graph() -> NeighborGraph:
    return NeighborGraph.from_matrix(sp.coo_array(CHAIN))[0]


def keys(seed: int = 0):
    return stream_keys(seed, np.zeros(NUMBER, dtype=np.int64), np.arange(NUMBER))


def walked(length: int, *, by_weight: bool = True):
    first = np.where(np.arange(NUMBER) % 4 == 0, 1, 2)  # as cell 0's successors by weight
    return walk_on(graph(), first, np.full(NUMBER, length), keys(), by_weight=by_weight)


def test_walks_end_where_powers_of_the_chain_end() -> None:
    here, made = walked(2)
    expected = np.linalg.matrix_power(CHAIN, 2)[0]
    np.testing.assert_allclose(np.bincount(here, minlength=5) / NUMBER, expected, atol=0.014)
    assert (made == 2).all()


def test_successors_may_be_drawn_uniformly() -> None:
    here, _ = walked(2, by_weight=False)
    from_cell_2 = here[np.arange(NUMBER) % 4 != 0]
    assert abs((from_cell_2 == 4).mean() - 0.5) < 0.016


def test_a_walk_ends_at_a_cell_without_successors() -> None:
    here, made = walked(5)
    assert (here == 4).all()
    by_way = np.bincount(made, minlength=6)[2:] / NUMBER
    # 0 -> 2 -> 4 takes two steps, 0 -> 1 -> 3 -> 4 and 0 -> 2 -> 3 -> 4 three
    np.testing.assert_allclose(by_way, [0.75 * 0.6, 0.25 + 0.75 * 0.4, 0, 0], atol=0.014)


def test_one_step_is_the_first_alone() -> None:
    here, made = walked(1)
    np.testing.assert_array_equal(here, np.where(np.arange(NUMBER) % 4 == 0, 1, 2))
    assert (made == 1).all()


def test_lengths_are_uniform_and_each_walk_depends_on_its_own_key_alone() -> None:
    lengths = draw_lengths(keys(), 4)
    np.testing.assert_allclose(np.bincount(lengths)[1:] / NUMBER, np.full(4, 0.25), atol=0.014)
    some = np.array([7, 3, 11])
    np.testing.assert_array_equal(draw_lengths(keys()[some], 4), lengths[some])
    first = np.full(3, 2)
    together = walk_on(graph(), np.full(NUMBER, 2), lengths, keys(), by_weight=True)
    alone = walk_on(graph(), first, lengths[some], keys()[some], by_weight=True)
    np.testing.assert_array_equal(alone[0], together[0][some])
    np.testing.assert_array_equal(alone[1], together[1][some])
