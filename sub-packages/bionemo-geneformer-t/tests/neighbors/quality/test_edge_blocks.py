"""Blocks hold every edge once, with the chance that a step takes it."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.edge_blocks import (
    edge_blocks,
    edges_of,
    fractions_by_group,
    groups_in_time,
)


@pytest.fixture
def weighted() -> NeighborGraph:
    return NeighborGraph.from_matrix(sp.random(60, 60, 0.1, random_state=0))[0]


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_blocks_of_any_size_hold_every_edge_once(weighted: NeighborGraph, size: int) -> None:
    blocks = list(edge_blocks(weighted, size))
    matrix = weighted.to_matrix().tocoo()
    assert np.concatenate([block.current for block in blocks]).tolist() == matrix.row.tolist()
    assert np.concatenate([block.successor for block in blocks]).tolist() == matrix.col.tolist()
    assert (len(blocks) == 1) == (size > weighted.num_edges)


def test_the_chances_of_a_cell_are_its_weights_scaled_to_one(weighted: NeighborGraph) -> None:
    block = edges_of(weighted, np.array([7, 3]))
    expected = [w / w.sum() for _, w in (weighted.successors(7), weighted.successors(3))]
    np.testing.assert_allclose(block.probability, np.concatenate(expected))
    assert set(block.current) == {7, 3}


def test_days_are_time_points_and_pseudotime_is_cut_into_groups_of_equal_size() -> None:
    groups, are_points = groups_in_time(np.array([6.0, 0, np.nan, 6, 0, 10, 10, 10]))
    assert are_points
    assert groups.tolist() == [1, 0, -1, 1, 0, 2, 2, 2]
    groups, are_points = groups_in_time(np.random.default_rng(0).random(1000))
    assert not are_points
    assert np.bincount(groups).tolist() == [50] * 20


def test_fractions_are_of_the_cells_of_a_group_that_have_a_label() -> None:
    groups, labels = np.array([0, 0, 0, 1, -1, 1]), np.array([0, 1, 1, -1, 1, 0])
    expected = [[1 / 3, 2 / 3], [1, 0], [0, 1]]
    np.testing.assert_allclose(fractions_by_group(groups, labels, 2), expected)
