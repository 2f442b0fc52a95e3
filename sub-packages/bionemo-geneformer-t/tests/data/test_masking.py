import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.masking import num_scored, score, select_tokens

GENES = np.arange(10, 60)
MASK = 1


@given(
    st.permutations(list(range(10, 60))).flatmap(
        lambda genes: st.integers(1, 50).map(lambda n: genes[:n])
    ),
    st.floats(0.01, 1),
    st.integers(0, 2**32),
)
def test_scored_positions_are_a_share_in_rank_order_with_their_true_genes(
    genes: list[int], mask_prob: float, seed: int
) -> None:
    settings = PairSettings(mask_prob=mask_prob)
    cell = np.array(genes)
    ids, ranks, labels = score(cell, GENES, MASK, settings, np.random.default_rng(seed))
    assert len(ids) == len(ranks) == len(labels) == max(1, round(mask_prob * len(genes)))
    assert (np.diff(ranks) > 0).all()
    assert ranks[0] >= 1
    assert ranks[-1] <= len(genes)
    np.testing.assert_array_equal(labels, cell[ranks - 1])


def test_random_replacements_are_always_genes_and_every_gene() -> None:
    settings = PairSettings(mask_prob=1.0, mask_token_prob=0.0, random_token_prob=1.0)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([score(GENES, GENES, MASK, settings, rng)[0] for _ in range(40)])
    assert set(drawn) == set(GENES)


def test_eight_in_ten_are_masked_one_replaced_and_one_kept() -> None:
    settings = PairSettings(mask_prob=1.0)
    cell = np.arange(10_000) + 100
    ids, _, labels = score(cell, GENES, MASK, settings, np.random.default_rng(0))
    # Standard deviations of these shares are 0.004 and 0.003.
    assert (ids == MASK).mean() == pytest.approx(0.8, abs=0.016)
    assert (ids == labels).mean() == pytest.approx(0.1, abs=0.012)
    assert np.isin(ids, GENES).mean() == pytest.approx(0.1, abs=0.012)


@pytest.mark.parametrize("fate", ["mask", "keep"])
def test_shares_of_one_and_zero_are_exact(fate: str) -> None:
    share = 1.0 if fate == "mask" else 0.0
    settings = PairSettings(mask_prob=0.5, mask_token_prob=share, random_token_prob=0.0)
    ids, _, labels = score(GENES, GENES, MASK, settings, np.random.default_rng(0))
    assert (ids == (MASK if fate == "mask" else labels)).all()


def test_a_next_cell_without_genes_has_nothing_scored() -> None:
    none = np.zeros(0, dtype=np.int64)
    parts = score(none, GENES, MASK, PairSettings(), np.random.default_rng(0))
    assert [part.shape for part in parts] == [(0,)] * 3
    assert num_scored(0, 0.15) == 0


def test_policies_choose_the_genes_of_the_next_cell() -> None:
    next_cell, current = np.array([5, 1, 9, 7]), np.array([8, 9, 5, 2])
    assert select_tokens(next_cell, current, "identity").tolist() == [5, 1, 9, 7]
    assert select_tokens(next_cell, current, "intersection").tolist() == [5, 9]
    assert select_tokens(next_cell, current, "union").tolist() == [5, 1, 9, 7, 8, 2]
