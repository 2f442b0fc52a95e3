from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.data.rank_value import merge_tokens, rank_value_encode, sort_by_value


def published(counts: dict[int, int], medians: dict[int, float], total: int) -> list[int]:
    """The formula gene by gene, in the words of Theodoris et al. 2023."""
    values = {}
    for token, count in counts.items():
        normalised = count / total * 10_000 / medians[token]
        values[token] = normalised
    return sorted(values, key=lambda token: (-values[token], token))


genes = st.dictionaries(
    st.integers(0, 65_535),
    st.tuples(st.integers(1, 5_000), st.floats(1e-3, 1e3).map(lambda x: round(x, 3))),
    max_size=60,
)


@given(genes, st.integers(0, 10_000))
def test_the_encoding_equals_the_published_formula(
    cell: dict[int, tuple[int, float]], unknown: int
) -> None:
    counts = {token: count for token, (count, _) in cell.items()}
    medians = {token: median for token, (_, median) in cell.items()}
    total = sum(counts.values()) + unknown
    encoded = rank_value_encode(
        np.array(list(counts.values()), dtype=np.float32),
        np.array(list(counts), dtype=np.int64),
        np.array(list(medians.values()), dtype=np.float64),
        np.array([len(counts)]),
    )
    expected = published(counts, medians, total)
    assert sorted(encoded) == sorted(expected)
    for ours, theirs in zip(encoded, expected, strict=True):
        # Counts and medians of few digits: values are equal, or differ by far more than a tie may.
        assert counts[ours] / medians[ours] == pytest.approx(
            counts[theirs] / medians[theirs], rel=1e-10
        )


@given(genes, st.randoms())
def test_the_order_of_columns_does_not_matter(cell: dict[int, tuple[int, float]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(cell)
    random.shuffle(shuffled)
    results = [
        sort_by_value(
            np.array([cell[token][0] for token in order], dtype=np.float64),
            np.array(order, dtype=np.int64),
            np.array([len(order)]),
        )
        for order in (list(cell), shuffled)
    ]
    np.testing.assert_array_equal(*results)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(0, 99))
def test_cells_side_by_side_are_encoded_as_each_alone(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = [rng.permutation(50)[:length].astype(np.int64) for length in lengths]
    tokens, values = np.concatenate(cells), rng.integers(1, 4, sum(lengths)).astype(np.float64)
    for offset in (0, 100_000):  # both ways of sorting
        together = sort_by_value(values, tokens + offset, np.array(lengths))
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        alone = [
            sort_by_value(values[a:b], tokens[a:b], np.array([b - a]))
            for a, b in pairwise(bounds.tolist())
        ]
        np.testing.assert_array_equal(together - offset, np.concatenate(alone))


def test_ties_go_to_the_lower_token() -> None:
    # 1/1, 3/3 and 2/2 are the same number; in floats they need not be after scaling.
    encoded = rank_value_encode(
        np.array([1, 3, 2, 9]),
        np.array([30, 10, 20, 5]),
        np.array([1.0, 3.0, 2.0, 1.0]),
        np.array([4]),
    )
    assert encoded.tolist() == [5, 10, 20, 30]


def test_large_vocabularies_rank_alike() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 20, size=300).astype(np.float64)
    tokens = rng.permutation(65_536)[:300].astype(np.int64)
    lengths = np.array([100, 200])
    beyond = sort_by_value(values, tokens + 100_000, lengths)
    np.testing.assert_array_equal(beyond - 100_000, sort_by_value(values, tokens, lengths))


def test_the_order_does_not_depend_on_what_is_sorted_beside_a_cell() -> None:
    """In a vocabulary of more than 65,536 tokens a cell may meet a token beyond them, or not."""
    nearly_equal = np.array([1.0, 1.0 + 1e-12, 1.0 + 1e-12, 1.0])
    tokens = np.array([7, 9, 8, 6])
    alone = sort_by_value(nearly_equal, tokens, np.array([4]))
    beside = sort_by_value(
        np.append(nearly_equal, 5.0), np.append(tokens, 70_000), np.array([4, 1])
    )
    assert alone.tolist() == [6, 7, 8, 9]
    assert beside.tolist() == [*alone.tolist(), 70_000]


def test_cells_without_genes_are_empty_sequences() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert rank_value_encode(none, none, np.zeros(0), np.zeros(2, dtype=np.int64)).shape == (0,)


def test_counts_of_columns_with_one_token_are_summed_within_each_cell() -> None:
    counts, tokens, lengths = merge_tokens(
        np.array([1, 2, 4, 8]), np.array([9, 3, 9, 9]), np.array([3, 0, 1])
    )
    assert (tokens.tolist(), counts.tolist(), lengths.tolist()) == ([3, 9, 9], [2, 5, 8], [2, 0, 1])
