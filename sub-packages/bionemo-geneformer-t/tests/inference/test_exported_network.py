"""One bias for all ranks: the best there is, and nothing else of the model changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.inference.exported_network import exported_network, folded_bias
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.ragged import Ragged


@pytest.fixture
def with_bias(model) -> TemporalGeneformerModel:
    """A model whose frequencies differ from rank to rank."""
    found = TemporalGeneformerModel(replace(model.config, rank_knots=5))
    found.vocab, found.pair_settings = model.vocab, model.pair_settings
    found.net.cls.predictions.rank_bias.start.normal_(std=2)
    return found.eval()


def test_the_fold_is_the_distribution_nearest_to_those_at_all_ranks(with_bias) -> None:
    head, vocab = with_bias.net.cls.predictions, with_bias.vocab
    genes = torch.from_numpy(vocab.gene_ids)
    with torch.no_grad():
        head.decoder.bias.zero_()
        ranks = torch.arange(1, with_bias.pair_settings.genes_per_cell + 1)
        at_ranks = head.rank_bias(ranks)[:, genes].softmax(-1)
    folded = folded_bias(with_bias)[genes].softmax(-1)
    torch.testing.assert_close(folded, at_ranks.mean(0))

    def nats(distribution: torch.Tensor) -> float:
        return float(-(at_ranks * distribution.log()).sum(-1).mean())

    uniform = torch.full_like(folded, 1 / len(folded))
    mean_of_logits = at_ranks.log().mean(0).softmax(-1)
    own = float(-(at_ranks * at_ranks.log()).sum(-1).mean())
    assert own < nats(folded) < min(nats(mean_of_logits), nats(uniform))


def test_only_the_bias_of_the_head_changes(with_bias) -> None:
    alone = exported_network(with_bias)
    assert alone.config.rank_knots == 0
    assert alone.memory is None
    mine, theirs = with_bias.net.state_dict(), alone.net.state_dict()
    for name, tensor in theirs.items():
        is_bias = name == "cls.predictions.decoder.bias"
        assert torch.equal(tensor, mine[name]) != is_bias, name
    context = Ragged.of([np.asarray(with_bias.vocab.gene_ids[:4])])
    found = alone.rank_distributions(context, 3).exp().sum(-1)
    torch.testing.assert_close(found, torch.ones_like(found))


def test_without_a_bias_by_rank_nothing_changes(model) -> None:
    assert torch.equal(folded_bias(model), model.net.cls.predictions.decoder.bias)
    context = Ragged.of([np.asarray(model.vocab.gene_ids[:4])])
    expected = model.rank_distributions(context, 3)
    assert torch.equal(exported_network(model).rank_distributions(context, 3), expected)
