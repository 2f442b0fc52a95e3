import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.inference import next_expression
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_expression import RankWorth, as_cells, expected_counts
from bionemo.geneformer_t.model.next_cell_model import settings_of


@pytest.fixture
def known(untrained_checkpoint, tiny_data_dir):
    """A model, its reading of some cells, and their counts."""
    model = load_model(untrained_checkpoint)
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    encoder = TokenEncoder(
        anndata_source(cells), "cells", model.required_vocab(), settings_of(model)
    )
    return model, encoder, sp.csr_array(cells.X)


def test_ranks_are_worth_what_cells_have_there(known) -> None:
    _, encoder, counts = known
    worth = RankWorth.of(counts, encoder, 30)
    dense, medians = counts.toarray()[:, encoder.is_known], encoder.median_of_id[
        encoder.token_of_column[encoder.is_known]
    ]  # fmt: skip
    first = (dense / medians).max(axis=1) / counts.sum(axis=1)
    assert worth.values[0] == pytest.approx(first.mean())
    assert (np.diff(worth.values[:15]) < 0).all()
    assert worth.values[28] == worth.values[29] == 0  # 28 genes are known


def test_expected_counts_have_the_totals_of_the_current_cells(known) -> None:
    model, encoder, counts = known
    worth = RankWorth.of(counts, encoder, 30)
    found = expected_counts(model, encoder, worth, counts)
    np.testing.assert_allclose(found.sum(axis=1), counts.sum(axis=1), rtol=1e-4)
    assert (found[:, ~encoder.is_known] == 0).all()
    assert (found >= 0).all()


def test_a_model_that_knows_the_order_gives_back_its_counts(known, monkeypatch) -> None:
    """A cell's own order, at the worth of that one cell, is the cell itself."""
    model, encoder, counts = known
    one = counts[[3]]
    one.data *= encoder.is_known[one.indices]  # the rest cannot come back
    one.eliminate_zeros()

    def knows(_model):
        def predict(contexts, num_ranks):
            log_probs = np.full((1, num_ranks, len(encoder.median_of_id)), -np.inf)
            log_probs[0, np.arange(num_ranks), contexts[0]] = 0
            return log_probs

        return predict

    monkeypatch.setattr(next_expression, "model_predictor", knows)
    found = expected_counts(model, encoder, RankWorth.of(one, encoder, 30), one)
    np.testing.assert_allclose(found, one.toarray(), rtol=1e-4, atol=1e-4)


def test_expectations_become_cells_of_whole_counts_in_the_same_order() -> None:
    expected = np.random.default_rng(0).random((4, 50)).astype(np.float32)
    cells = as_cells(expected, np.array([50, 10, 1, 0])).toarray()
    assert (cells == np.rint(cells)).all()
    assert (cells > 0).sum(axis=1).tolist() == [50, 10, 1, 0]
    np.testing.assert_array_equal(np.argsort(-cells[0]), np.argsort(-expected[0]))
    np.testing.assert_array_equal(np.argsort(-cells[1])[:10], np.argsort(-expected[1])[:10])
