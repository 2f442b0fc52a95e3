"""What training cells say before any training."""

import numpy as np
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.training.weights_from_cells import (
    expression_axes,
    log_expression,
    rank_counts,
)


@pytest.fixture
def dataset(tiny_data_dir) -> TemporalGeneformerDataset:
    return TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=PairSettings(seq_length=23)
    )


def test_every_rank_counts_each_next_cell_once(dataset) -> None:
    counts = rank_counts(dataset)
    next_cells = np.unique(dataset.graph.indices)
    cut = dataset.settings.genes_per_cell
    lengths = np.minimum([len(dataset.tokens.encode(cell)) for cell in next_cells.tolist()], cut)
    assert counts.shape == (cut, len(dataset.vocab))
    np.testing.assert_array_equal(counts.sum(axis=1), [(lengths > r).sum() for r in range(cut)])


def test_expression_is_per_ten_thousand_in_logs(dataset) -> None:
    table = log_expression(
        dataset.tokens, *dataset.tokens.store.rows_of(np.arange(5)), len(dataset.vocab)
    ).toarray()
    np.testing.assert_allclose(np.expm1(table).sum(axis=1), 1e4, rtol=1e-4)


def test_axes_are_those_of_the_dense_singular_value_decomposition(dataset) -> None:
    size = len(dataset.vocab)
    axes = expression_axes(dataset, 3, seed=0)
    dense = log_expression(
        dataset.tokens, *dataset.tokens.store.rows_of(np.arange(len(dataset.tokens))), size
    ).toarray()
    scaled = dense / (dense.std(axis=0) + 0.1)
    _, values, rows = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    expected = rows[:3].T * values[:3]
    signs = np.sign((axes * expected).sum(axis=0))
    np.testing.assert_allclose(axes * signs, expected, atol=1e-2 * values[0])


def test_genes_that_rise_and_fall_together_get_similar_rows(dataset) -> None:
    """The tiny cells' odd genes rise with time and the even ones fall."""
    axes = expression_axes(dataset, 1, seed=0)[:, 0]
    names = dataset.vocab.tokens
    late = np.array([name.startswith("ENSG") and int(name[4:]) % 2 == 1 for name in names])
    early = np.array([name.startswith("ENSG") and int(name[4:]) % 2 == 0 for name in names])
    assert np.sign(axes[late].mean()) != np.sign(axes[early].mean())


def test_few_cells_give_few_axes(dataset) -> None:
    assert expression_axes(dataset, 500, seed=0).shape[1] < 40
