"""A trained model in bfloat16: near what it says in float32, and only where it was asked to."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from bionemo.geneformer_t.config import BioBertConfig, EmbeddingSettings, PairSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.inference.checkpoint import load_encoder, load_model
from bionemo.geneformer_t.inference.controls import random_weights
from bionemo.geneformer_t.inference.embedder import Embedder
from bionemo.geneformer_t.inference.exported_network import exported_network
from bionemo.geneformer_t.model import products
from bionemo.geneformer_t.model.next_cell_model import evaluating
from bionemo.geneformer_t.model.prediction import all_masked
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.ragged import Ragged

EIGHT_BITS = 2.0**-8
"""What bfloat16 rounds a number by."""


@pytest.fixture
def cells(vocab) -> Ragged:
    rng = np.random.default_rng(0)
    return Ragged.of([rng.permutation(vocab.gene_ids)[:length] for length in (20, 11, 7)])


def log_probs(model, cells):
    return model.rank_distributions(cells, 5).exp()


def embeddings(model, cells):
    names = list(model.vocab.genes)
    counts = np.zeros((len(cells), len(names)), dtype=np.float32)
    for row, cell in enumerate(cells.rows()):
        counts[row, np.searchsorted(model.vocab.gene_ids, cell)] = np.arange(len(cell), 0, -1)
    source = anndata_source(anndata.AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=names)))
    embedder = Embedder(model, source, EmbeddingSettings())
    return torch.from_numpy(np.concatenate([block.embeddings for block in embedder.blocks()]))


def scores(model, cells):
    found = candidate_scores(model, cells, cells, num_ranks=5, score="likelihood")
    by_candidate = np.take_along_axis(found.scores, found.candidates.argsort(axis=1), axis=1)
    return torch.from_numpy(by_candidate)


def points(model, cells):
    with evaluating(model):
        return model.context_points(cells)


def loss(model, cells):
    with torch.no_grad(), evaluating(model):
        return model.summed_loss(all_masked(cells, 5, model.required_vocab()))


@pytest.mark.parametrize("read", [log_probs, embeddings, scores, points, loss])
def test_bfloat16_is_near_float32_and_not_the_same(model, cells, read):
    precise = read(model, cells)
    model.precision = "bf16-mixed"
    rounded = read(model, cells)
    assert rounded.dtype == precise.dtype
    assert not torch.equal(rounded, precise)
    # two layers of a few roundings each
    difference = (rounded - precise).norm() / precise.norm()
    assert float(difference) < 8 * EIGHT_BITS
    model.precision = "32-true"
    assert torch.equal(read(model, cells), precise)
    assert not torch.is_autocast_enabled("cpu")


def test_what_a_model_is_compared_with_computes_as_it_does(model):
    model.precision = "bf16-mixed"
    assert random_weights(model, 0).precision == "bf16-mixed"
    assert exported_network(model).precision == "bf16-mixed"


@pytest.mark.parametrize("load", [load_model, load_encoder])
def test_a_checkpoint_is_loaded_in_float32_unless_asked(untrained_checkpoint, load):
    assert load(untrained_checkpoint).precision == "32-true"
    assert load(untrained_checkpoint, "bf16-mixed").precision == "bf16-mixed"


def test_a_processor_without_bfloat16_is_named(untrained_checkpoint, monkeypatch, caplog):
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: True)
    load_model(untrained_checkpoint)
    assert not caplog.records
    load_model(untrained_checkpoint, "bf16-mixed")
    assert "no instructions for bfloat16" in caplog.text


def test_a_loaded_model_multiplies_as_it_was_trained(vocab, save_checkpoint):
    config = BioBertConfig(
        vocab_size=len(vocab), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=64,
    )  # fmt: skip
    trained = TemporalGeneformerModel(config, matmul_backend="default")
    trained.adopt(vocab, PairSettings(seq_length=33))
    found = load_model(save_checkpoint(trained)).net
    layers = [module for module in found.modules() if isinstance(module, products.Linear)]
    assert {layer.matmul_backend for layer in layers} == {"default"}
