"""A mixture of network and memory is a distribution, and each part has its weight."""

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.model.knn_memory import KnnInterpolation, Mixing
from bionemo.geneformer_t.model.successor_index import SuccessorIndex

VOCAB, GENES = 8, np.arange(4, 8)


def memory_of(**weights: float) -> KnnInterpolation:
    points = np.array([[0.0], [10.0]], dtype=np.float32)
    genes_of = {0: np.array([4, 5]), 1: np.array([6, 7])}
    return KnnInterpolation(
        index=SuccessorIndex.of(points, [[0], [1]], [[1.0], [1.0]], genes_of),
        gene_ids=GENES,
        mixing=Mixing(number=1, width=0.1, **weights),
    )


@pytest.fixture
def log_probs() -> np.ndarray:
    logits = np.random.default_rng(0).normal(size=(3, VOCAB)).astype(np.float32)
    logits[:, :4] = -np.inf
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_every_rank_stays_a_distribution_even_where_no_successor_reaches(log_probs) -> None:
    memory = memory_of(network=0.5, memory=0.4, uniform=0.1)
    mixed = np.exp(memory.mix(log_probs, np.array([1.0], dtype=np.float32)))
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    assert (mixed[:, :4] == 0).all()


def test_the_successors_of_the_nearest_cell_gain(log_probs) -> None:
    memory = memory_of(network=0.5, memory=0.4, uniform=0.1)
    near_first, near_second = (
        np.exp(memory.mix(log_probs, np.array([x], dtype=np.float32))) for x in (0.0, 9.0)
    )
    assert near_first[0, 4] - near_second[0, 4] == pytest.approx(0.4, rel=1e-5)
    assert near_second[1, 7] - near_first[1, 7] == pytest.approx(0.4, rel=1e-5)


@pytest.mark.parametrize(("network", "memory"), [(0.5, 0.4), (0.0, 0.9), (0.0, 1.0)])
def test_some_entries_are_mixed_as_the_whole_table_is(log_probs, network, memory) -> None:
    """Also at the third rank, which no successor reaches, and of genes that none has."""
    mixing = memory_of(network=network, memory=memory, uniform=max(0.0, 0.9 - network - memory))
    points = np.array([[1.0], [9.0], [2.0], [3.0]], dtype=np.float32)
    ranks, genes = np.divmod(np.arange(12), 4)
    genes += 4
    of_network = np.repeat(log_probs[ranks, genes][:, None], 4, axis=1)
    at = mixing.mix_at(of_network, points, ranks, genes)
    for mixed, point in zip(at.T, points, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = mixing.mix(log_probs, point)
        np.testing.assert_allclose(mixed, whole[ranks, genes], rtol=1e-6)


def test_a_memory_without_weight_changes_nothing(log_probs) -> None:
    memory = memory_of(network=1.0, memory=0.0, uniform=0.0)
    np.testing.assert_allclose(memory.mix(log_probs, np.zeros(1, np.float32)), log_probs, rtol=1e-5)


def test_it_is_carried_as_plain_values(tmp_path, log_probs) -> None:
    memory = memory_of(network=0.5, memory=0.4, uniform=0.1)
    torch.save(memory.to_dict(), tmp_path / "memory.pt")
    again = KnnInterpolation.from_dict(torch.load(tmp_path / "memory.pt", weights_only=True))
    point = np.zeros(1, np.float32)
    np.testing.assert_array_equal(again.mix(log_probs, point), memory.mix(log_probs, point))
