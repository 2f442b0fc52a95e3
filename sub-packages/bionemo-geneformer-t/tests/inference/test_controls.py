import numpy as np
import pytest
import torch

from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.controls import load_shuffled, random_weights
from bionemo.geneformer_t.inference.rank_distributions import model_predictor


def test_random_weights_are_others_of_the_same_sizes(untrained_checkpoint) -> None:
    model = load_model(untrained_checkpoint)
    state = torch.get_rng_state()
    fresh, again = (random_weights(model, 1) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    mine, theirs, repeated = (m.net.state_dict() for m in (model, fresh, again))
    assert {n: t.shape for n, t in mine.items()} == {n: t.shape for n, t in theirs.items()}
    name = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(mine[name], theirs[name])
    assert torch.equal(theirs[name], repeated[name])
    log_probs = model_predictor(fresh)([np.array([5, 6, 7])], 4)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1, rtol=1e-5)


def test_a_model_of_true_successors_is_no_control(untrained_checkpoint) -> None:
    with pytest.raises(ValueError, match="was trained on true successors; train it with"):
        load_shuffled(untrained_checkpoint, load_model(untrained_checkpoint))
