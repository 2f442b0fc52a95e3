import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.masking import (
    ScoredCells,
    lowest,
    num_scored,
    score,
    select_tokens,
)
from bionemo.geneformer_t.data.sampling import stream_keys
from bionemo.geneformer_t.ragged import Ragged

GENES = np.arange(10, 60)
MASK = 1


def scored(cells: list[np.ndarray], settings: PairSettings, seed: int = 0) -> ScoredCells:
    numbers = np.arange(len(cells))
    keys = stream_keys(seed, np.zeros_like(numbers), numbers)
    return score(Ragged.of(cells), keys, GENES, MASK, settings)


@pytest.mark.slow
@given(
    st.lists(
        st.permutations(list(range(10, 60))).flatmap(
            lambda genes: st.integers(0, 50).map(lambda n: genes[:n])
        ),
        min_size=1,
        max_size=4,
    ),
    st.floats(0.01, 1),
    st.integers(0, 2**32),
)
def test_scored_positions_are_a_share_in_rank_order_with_their_true_genes(
    cells: list[list[int]], mask_prob: float, seed: int
) -> None:
    arrays = [np.array(genes, dtype=np.int64) for genes in cells]
    found = scored(arrays, PairSettings(mask_prob=mask_prob), seed)
    for i, genes in enumerate(arrays):
        here = slice(found.offsets[i], found.offsets[i + 1])
        ranks = found.ranks[here]
        assert len(ranks) == min(len(genes), max(1, round(mask_prob * len(genes))))
        assert (np.diff(ranks) > 0).all()
        np.testing.assert_array_equal(found.labels[here], genes[ranks - 1])
    assert len(found.ids) == len(found.ranks) == len(found.labels) == found.offsets[-1]


def test_every_position_is_scored_equally_often_and_independently() -> None:
    number = 4_000
    found = scored([GENES] * number, PairSettings(mask_prob=0.2))
    assert np.diff(found.offsets).tolist() == [10] * number
    times = np.bincount(found.ranks - 1, minlength=50) / number
    # The standard deviation of a share is 0.0063; of a correlation between two positions 0.016.
    np.testing.assert_allclose(times, 0.2, atol=0.03)
    is_scored = np.zeros((number, 50))
    is_scored[np.repeat(np.arange(number), 10), found.ranks - 1] = 1
    correlations = np.corrcoef(is_scored.T)[~np.eye(50, dtype=bool)]
    assert correlations.mean() == pytest.approx(-1 / 49, abs=0.002)  # ten of fifty, exactly
    assert abs(correlations + 1 / 49).max() < 0.09


def test_a_cell_is_scored_alike_alone_and_in_company() -> None:
    cells = [GENES[:20], GENES[5:], GENES[:1]]
    numbers = np.arange(3)
    keys = stream_keys(7, np.full(3, 2), numbers)
    together = score(Ragged.of(cells), keys, GENES, MASK, PairSettings())
    for i in range(3):
        alone = score(Ragged.of(cells[i : i + 1]), keys[i : i + 1], GENES, MASK, PairSettings())
        here = slice(together.offsets[i], together.offsets[i + 1])
        for name in ("ids", "ranks", "labels"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(together, name)[here])


def test_random_replacements_are_always_genes_and_every_gene_alike() -> None:
    settings = PairSettings(mask_prob=1.0, mask_token_prob=0.0, random_token_prob=1.0)
    drawn = scored([GENES] * 400, settings).ids
    shares = np.bincount(drawn, minlength=60)[10:] / len(drawn)
    assert len(shares) == len(GENES)
    np.testing.assert_allclose(shares, 1 / 50, atol=0.005)  # standard deviation 0.001


def test_eight_in_ten_are_masked_one_replaced_and_one_kept() -> None:
    settings = PairSettings(mask_prob=1.0)
    found = scored([np.arange(10_000) + 100], settings)
    # Standard deviations of these shares are 0.004 and 0.003.
    assert (found.ids == MASK).mean() == pytest.approx(0.8, abs=0.016)
    assert (found.ids == found.labels).mean() == pytest.approx(0.1, abs=0.012)
    assert np.isin(found.ids, GENES).mean() == pytest.approx(0.1, abs=0.012)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.floats(0.001, 1), st.booleans())
def test_the_lowest_words_of_each_cell_are_chosen_fair_or_not(
    lengths: list[int], share: float, is_fair: bool
) -> None:
    number = num_scored(np.array(lengths), share)
    words = np.random.default_rng(0).integers(0, 1 << 63, sum(lengths)).astype(np.uint64) << 1
    if not is_fair:
        words |= np.uint64(1 << 63)  # none is below the half, so cuts below it find too few
    start, expected = 0, []
    for length, wanted in zip(lengths, number.tolist(), strict=True):
        of_cell = words[start : start + length]
        expected += sorted(start + i for i in np.argsort(of_cell)[:wanted].tolist())
        start += length
    assert lowest(words, np.array(lengths), number).tolist() == expected


@pytest.mark.parametrize("fate", ["mask", "keep"])
def test_shares_of_one_and_zero_are_exact(fate: str) -> None:
    share = 1.0 if fate == "mask" else 0.0
    settings = PairSettings(mask_prob=0.5, mask_token_prob=share, random_token_prob=0.0)
    found = scored([GENES], settings)
    assert (found.ids == (MASK if fate == "mask" else found.labels)).all()


def test_a_next_cell_without_genes_has_nothing_scored() -> None:
    found = scored([np.zeros(0, dtype=np.int64)], PairSettings())
    assert len(found.ids) == len(found.ranks) == len(found.labels) == 0
    assert num_scored(np.array([0]), 0.15).tolist() == [0]


def test_policies_choose_the_genes_of_the_next_cell() -> None:
    next_cell, current = np.array([5, 1, 9, 7]), np.array([8, 9, 5, 2])
    assert select_tokens(next_cell, current, "identity").tolist() == [5, 1, 9, 7]
    assert select_tokens(next_cell, current, "intersection").tolist() == [5, 9]
    assert select_tokens(next_cell, current, "union").tolist() == [5, 1, 9, 7, 8, 2]
