"""Frequencies for many current cells at once are those of each current cell."""

import tracemalloc

import numpy as np
import pytest

from bionemo.geneformer_t.model import entry_frequencies as module
from bionemo.geneformer_t.model.entry_frequencies import entry_frequencies
from bionemo.geneformer_t.model.successor_index import SuccessorIndex

NUM_TOKENS, NUM_RANKS = 40, 12


@pytest.fixture
def index() -> SuccessorIndex:
    """Twenty cells, of which each has up to three of thirty next cells; some of these are short."""
    rng = np.random.default_rng(0)
    genes_of = {i: rng.permutation(NUM_TOKENS - 3)[: rng.integers(1, 30)] for i in range(30)}
    successors = [rng.choice(30, rng.integers(1, 4), replace=False).tolist() for _ in range(20)]
    shares = [rng.dirichlet(np.ones(len(mine))).tolist() for mine in successors]
    return SuccessorIndex.of(rng.normal(size=(20, 2)), successors, shares, genes_of)


def whole_tables(index: SuccessorIndex, places: list[np.ndarray], width: float) -> np.ndarray:
    """`frequencies` of every current cell, of all tokens."""
    tables = np.zeros((NUM_RANKS, NUM_TOKENS, len(places)), dtype=np.float32)
    for context, mine in enumerate(places):
        genes, found = index.frequencies(mine, NUM_RANKS, width)
        tables[:, genes, context] = found
    return tables


def count_single(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes each current cell that goes alone."""
    alone: list[int] = []
    one_by_one = SuccessorIndex.frequencies

    def noted(self: SuccessorIndex, places, num_ranks, width):
        alone.append(len(places))
        return one_by_one(self, places, num_ranks, width)

    monkeypatch.setattr(SuccessorIndex, "frequencies", noted)
    return alone


@pytest.mark.parametrize("width", [0.1, 3.0, 50.0])
@pytest.mark.parametrize("limit", ["none", "few genes at once", "few counts at once"])
def test_entries_are_those_of_each_current_cell(
    index, width: float, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens from 37 on are in no next cell."""
    rng = np.random.default_rng(1)
    places = [rng.permutation(20)[:number] for number in (1, 8, 15, 15, 20, 20, 20)]
    ranks, genes = np.divmod(np.sort(rng.permutation(NUM_RANKS * NUM_TOKENS)[:300]), NUM_TOKENS)
    expected = whole_tables(index, places, width)
    alone = count_single(monkeypatch)
    if limit == "few genes at once":
        monkeypatch.setattr(module, "_GENES_AT_ONCE", 200)
    if limit == "few counts at once":
        monkeypatch.setattr(module, "_COUNTS_AT_ONCE", 60)
    found, is_reached = entry_frequencies(index, places, ranks, genes, width)
    np.testing.assert_allclose(found, expected[ranks, genes], rtol=2e-6, atol=1e-9)
    np.testing.assert_array_equal(is_reached, expected.any(axis=1)[: ranks.max() + 1])
    assert (len(alone) > 0) == (limit == "few genes at once")


def test_current_cells_that_share_nothing_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    genes_of = {i: np.arange(5) + i for i in range(4)}
    apart = SuccessorIndex.of(np.zeros((4, 1)), [[0], [1], [2], [3]], [[1.0]] * 4, genes_of)
    alone = count_single(monkeypatch)
    ranks, genes = np.array([0, 4, 4, 9]), np.array([2, 6, 7, 1])
    places = [np.array([i]) for i in range(4)]
    found, is_reached = entry_frequencies(apart, places, ranks, genes, 0.1)
    assert len(alone) == 4
    np.testing.assert_array_equal(found.T, [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(is_reached.sum(axis=0), 5)


def test_memory_is_that_of_genes_at_ranks_that_are_found() -> None:
    """Of 20,000 genes x 1,000 ranks, forty next cells have 40,000 pairs."""
    rng = np.random.default_rng(0)
    genes_of = {i: rng.permutation(20_000)[:1000] for i in range(40)}
    index = SuccessorIndex.of(
        rng.normal(size=(40, 2)), [[i] for i in range(40)], [[1.0]] * 40, genes_of
    )
    cells, lengths, names = np.arange(40), np.full(40, 1000), np.arange(20_000)
    tracemalloc.start()
    ranks, bounds, by_cell = module._counted_ranks(index, cells, lengths, names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # 20 million rows would be 80 MB
    assert by_cell.shape == (len(ranks), 40)
    assert bounds[-1] == len(ranks)
    for place, cell in zip(*by_cell.nonzero(), strict=True):
        name = np.searchsorted(bounds, place, side="right") - 1
        assert genes_of[cell][ranks[place]] == name


def test_nothing_is_asked_for_or_nobody_asks(index) -> None:
    none = np.zeros(0, dtype=np.int64)
    found, is_reached = entry_frequencies(index, [np.arange(20)] * 3, none, none, 1.0)
    assert found.shape == (0, 3)
    assert is_reached.shape == (0, 3)
    assert entry_frequencies(index, [], np.arange(2), np.arange(2), 1.0)[0].shape == (2, 0)
