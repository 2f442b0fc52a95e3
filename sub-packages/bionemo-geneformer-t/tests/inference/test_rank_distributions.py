import numpy as np
import pytest

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel


def test_every_rank_is_a_distribution_over_genes(model, vocab) -> None:
    contexts = [vocab.gene_ids[:4], vocab.gene_ids[3:12]]
    log_probs = model_predictor(model)(contexts, 6)
    assert log_probs.shape == (2, 6, len(vocab))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)
    assert np.isneginf(log_probs[..., list(vocab.special_ids)]).all()


def test_batches_and_fewer_ranks_change_nothing(model, vocab) -> None:
    one, other = vocab.gene_ids[:4], vocab.gene_ids[3:12]
    together = model_predictor(model)([one, other], 6)
    alone = model_predictor(model)([other], 3)
    np.testing.assert_allclose(together[1:, :3], alone, atol=1e-5)


def test_the_predictor_leaves_training_mode(model, vocab) -> None:
    predict = model_predictor(model.train())
    first, second = (predict([vocab.gene_ids[:5]], 4) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_model_without_a_vocabulary_says_so() -> None:
    bare = TemporalGeneformerModel(
        BioBertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                      intermediate_size=8, max_position_embeddings=16)
    )  # fmt: skip
    with pytest.raises(ValueError, match="no vocabulary yet"):
        model_predictor(bare)([np.array([5])], 2)
