from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.batching import BySize, ByTokens, assign_evenly, assign_to_lightest
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

TYPICAL = np.clip((700 * np.exp(np.random.default_rng(0).normal(0, 0.4, 2_000))), 1, 1_022)
TYPICAL = TYPICAL.astype(np.int64)


def tokens_of(batches: list[np.ndarray], costs: np.ndarray) -> np.ndarray:
    return np.array([costs[batch].sum() for batch in batches])


def test_ranks_get_nearly_equal_numbers_of_tokens_in_each_step() -> None:
    batching = BySize(costs=TYPICAL, size=8, ranks=4)
    loads = tokens_of(list(batching.shuffled(np.random.default_rng(1))), TYPICAL)[:-4]
    of_step = loads.reshape(-1, 4)
    by_chance = (
        TYPICAL[np.random.default_rng(2).permutation(2_000)[:1_984]].reshape(-1, 4, 8).sum(2)
    )
    assert np.ptp(of_step, axis=1).mean() < 0.1 * np.ptp(by_chance, axis=1).mean()


def test_steps_get_nearly_equal_numbers_of_tokens() -> None:
    loads = tokens_of(
        list(BySize(costs=TYPICAL, size=8).shuffled(np.random.default_rng(1))), TYPICAL
    )
    by_chance = TYPICAL.reshape(-1, 8).sum(axis=1)
    assert loads.std() < 0.3 * by_chance.std()


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_budget_is_filled_and_kept(ranks: int) -> None:
    batching = ByTokens(costs=TYPICAL, budget=8_192, ranks=ranks)
    assert batching.number % ranks == 0
    for seed in range(3):
        loads = tokens_of(list(batching.shuffled(np.random.default_rng(seed))), TYPICAL)
        assert len(loads) == batching.number
        assert loads.max() <= 8_192
        assert loads.min() > 0.9 * 8_192


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(50, 120), st.integers(1, 4)
)
def test_any_lengths_fit_a_budget_that_the_longest_fits(
    lengths: list[int], budget: int, ranks: int
) -> None:
    costs = np.array(lengths)
    batching = ByTokens(costs=costs, budget=budget, ranks=ranks)
    for batches in (batching.shuffled(np.random.default_rng(0)), batching.in_order()):
        found = list(batches)
        assert len(found) == batching.number
        assert sorted(np.concatenate(found).tolist()) == list(range(len(costs)))
        assert tokens_of(found, costs).max() <= budget


def test_an_example_beyond_the_budget_is_named() -> None:
    with pytest.raises(ValueError, match=r"is 500, and the largest example alone takes 1,022 tok"):
        _ = ByTokens(costs=TYPICAL, budget=500).number


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")  # 400 epochs
def test_company_is_by_chance() -> None:
    for batching in (BySize(costs=TYPICAL, size=8), ByTokens(costs=TYPICAL, budget=8_192)):
        together = np.zeros(2_000)
        for epoch in range(200):
            for batch in batching.shuffled(np.random.default_rng(epoch)):
                if 0 in batch:
                    together[batch] += 1
        # Nobody is with example 0 in more than a small share of the epochs.
        assert together[1:].max() < 20
        assert (together[1:] > 0).sum() > 700


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 7))
def test_dealing_shares_numbers_evenly_and_loses_nothing(lengths: list[int], parts: int) -> None:
    costs = np.array(lengths, dtype=np.int64)
    dealt = assign_evenly(np.argsort(-costs), costs, parts)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(costs)))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_filling_gives_to_whoever_has_least() -> None:
    assert assign_to_lightest(np.array([5, 4, 3, 3]), np.array([0, 2])).tolist() == [0, 1, 0, 1]


NEXT = PairSettings(mask_prob=0.4, seq_length=43)
KEEPING_ALL = replace(NEXT, only_cells_with_neighbors=False, no_neighbor_policy="identity")


# 4,000 examples, each a hundred calls whose shapes other tests of the same functions verify
@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("policy", ["identity", "intersection", "union"])
@pytest.mark.parametrize(
    "settings",
    [NEXT, replace(NEXT, next_cells_per_cell=2), KEEPING_ALL,
     replace(KEEPING_ALL, no_neighbor_policy="random", next_cells_per_cell=3)],
)  # fmt: skip
@pytest.mark.slow
def test_no_example_has_more_tokens_than_foretold_and_some_have_as_many(
    tiny_data_dir: Path, settings: PairSettings, policy: str
) -> None:
    settings = replace(settings, token_selection_policy=policy)
    dataset = TemporalGeneformerDataset.from_folder(tiny_data_dir / "train", settings=settings)
    foretold = dataset.most_tokens()
    found = np.array([
        [
            len(example.context_ids) + sum(len(scored.ids) for scored in example.next_cells)
            for example in (dataset[epoch, i] for i in range(len(dataset)))
        ]
        for epoch in range(8)
    ])  # fmt: skip
    assert (found <= foretold).all()
    if policy != "intersection":  # there, the genes that two cells share are not known before
        assert (found == foretold).any(axis=0).mean() > 0.5
