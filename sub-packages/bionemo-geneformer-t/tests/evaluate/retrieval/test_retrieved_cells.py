"""Real cells are drawn as often as transitions say, and never without known genes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import softmax

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.evaluate.retrieval import retrieved_cells as module
from bionemo.geneformer_t.evaluate.retrieval.retrieved_cells import retrieved_cells
from bionemo.geneformer_t.fates.candidate_scores import HighestScores
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.vocab import GeneVocab


@pytest.fixture
def model() -> NextCellModel:
    vocab = GeneVocab.of_genes({f"g{i}": 1.0 for i in range(20)})
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    found = NextCellModel(
        BioBertConfig(
            vocab_size=len(vocab), intermediate_size=16, max_position_embeddings=32, **sizes
        )
    )
    found.adopt(vocab, PairSettings(seq_length=32))
    return found.eval()


def test_a_cell_is_drawn_with_the_probability_of_its_transition(monkeypatch, random_split, model):
    pairs, rows = random_split(0, num_cells=4000), np.array([3, 7, 9])
    scores = np.array([4.0, 0.0, -8.0])

    def highest(contexts, candidates, number) -> HighestScores:
        assert (candidates == np.arange(3)).all()
        assert number == 3  # there are no more
        shape = (len(contexts), 1)
        return HighestScores(
            candidates=np.tile([2, 0, 1], shape), scores=np.tile(scores, shape)
        )  # fmt: skip

    monkeypatch.setattr(module, "scorer_of", lambda *_, **__: SimpleNamespace(highest=highest))
    drawn = retrieved_cells(model, pairs, pairs, rows, np.random.default_rng(0))
    assert len(drawn) == len(pairs.cells)
    share = [(drawn == row).mean() for row in (9, 3, 7)]
    expected = softmax(scores / module.fitted_choice(model).temperature)
    np.testing.assert_allclose(share, expected, atol=0.03)


def test_only_training_cells_with_genes_are_drawn(random_split, model) -> None:
    pairs = random_split(0)
    training = replace(
        pairs, encode=lambda row: pairs.encode(row) if row % 2 else np.zeros(0, dtype=np.int64)
    )
    training = replace(training, current=np.array([1, 3]), following=np.array([3, 5]),
                       weights=np.ones(2))  # fmt: skip
    drawn = retrieved_cells(model, pairs, training, np.arange(10), np.random.default_rng(0))
    assert set(drawn.tolist()) <= {1, 3, 5, 7, 9}
    assert len(set(drawn.tolist())) > 1
    with pytest.raises(ValueError, match="no training cell expresses"):
        retrieved_cells(model, pairs, training, np.array([2, 4]), np.random.default_rng(0))
