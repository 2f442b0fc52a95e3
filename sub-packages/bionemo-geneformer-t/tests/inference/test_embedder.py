"""Packed and sorted, every cell is embedded as Hugging Face's BERT does it alone."""

import anndata
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from transformers import BertConfig, BertForMaskedLM

from bionemo.geneformer_t.config import EmbeddingSettings, PairSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.inference.embedder import Embedder, batches_by_length, layer_depth
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.model.prediction import framed_cells
from bionemo.geneformer_t.model.weights.huggingface import config_to_theirs, state_to_theirs
from bionemo.geneformer_t.ragged import Ragged

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums in another order


@pytest.fixture
def cells(vocab) -> anndata.AnnData:
    """30 genes, 28 of them known; cell 3 expresses unknown ones only."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(0.05, 3, (9, 1)), (9, 30)).astype(np.float32)
    counts[:, 0] += 1
    counts[3, :28] = 0
    counts[3, 28:] = 2
    genes = [*vocab.genes, "unknown_0", "unknown_1"]
    return anndata.AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=genes))


def framed(genes, vocab) -> np.ndarray:
    return framed_cells(Ragged.of([genes]), vocab).row(0)


def embedder_of(model, cells, **settings) -> Embedder:
    return Embedder(model, anndata_source(cells), EmbeddingSettings(**settings))


def embedded(embedder: Embedder) -> np.ndarray:
    return np.concatenate([block.embeddings for block in embedder.blocks()])


def hidden_states(model, context) -> list[torch.Tensor]:
    """All hidden states of one cell from Hugging Face's BERT with the same weights."""
    theirs = BertForMaskedLM(BertConfig(**config_to_theirs(model.config)))
    theirs.load_state_dict(state_to_theirs(model.net.state_dict()), strict=False)
    with torch.no_grad():
        states = theirs.eval().bert(torch.from_numpy(context)[None], output_hidden_states=True)
    return [state[0] for state in states.hidden_states]


def tokens_of(model, cells) -> list[np.ndarray]:
    source = anndata_source(cells)
    encoder = TokenEncoder(source, source.where, model.vocab, model.pair_settings)
    (block,) = source.blocks()
    lengths = np.diff(block.counts.indptr).astype(np.int64)
    return encoder.encode(block.counts.data, block.counts.indices, lengths).rows()


@pytest.mark.parametrize("layer", [-3, -2, -1, 0, 1, 2])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.slow
def test_embeddings_are_pooled_hidden_states_of_hugging_face(model, cells, layer, pooling):
    found = embedded(embedder_of(model, cells, layer=layer, pooling=pooling))
    for row, genes in enumerate(tokens_of(model, cells)):
        if not len(genes):
            assert row == 3
            assert not found[row].any()
            continue
        kept = genes[: model.pair_settings.genes_per_cell]
        state = hidden_states(model, framed(kept, model.vocab))[layer]
        expected = state[0] if pooling == "cls" else state[1:-1].mean(0)
        torch.testing.assert_close(torch.from_numpy(found[row]), expected, **TOLERANCE)


@pytest.mark.parametrize("backend", ["per_cell", "padded"])
@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_neither_the_budget_nor_the_backend_changes_anything(model, cells, backend, budget):
    expected = embedded(embedder_of(model, cells))
    model.attention_backend = backend
    found = embedded(embedder_of(model, cells, token_budget=budget))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_cell_is_embedded_the_same_in_any_company(model, cells):
    order = np.array([5, 0, 3, 8])
    some = embedded(embedder_of(model, cells[order].copy()))
    all_of_them = embedded(embedder_of(model, cells))
    np.testing.assert_allclose(some, all_of_them[order], rtol=1e-5, atol=1e-5)


def test_genes_get_the_mean_over_their_occurrences_and_their_input_row(model, cells):
    embedder = embedder_of(model, cells)
    embedded(embedder)
    means, table = embedder.gene_embeddings()
    found: dict[int, list[torch.Tensor]] = {}
    for genes in tokens_of(model, cells):
        kept = genes[: model.pair_settings.genes_per_cell]
        if len(kept):
            states = hidden_states(model, framed(kept, model.vocab))[-2][1:-1]
            for token, state in zip(kept.tolist(), states, strict=True):
                found.setdefault(token, []).append(state)
    words = model.net.bert.embeddings.word_embeddings.weight.detach().numpy()
    for column, gene in enumerate(cells.var_names):
        token = model.vocab.ids.get(gene)
        if token is None:
            assert np.isnan(table[column]).all()
            assert np.isnan(means[column]).all()
            continue
        np.testing.assert_array_equal(table[column], words[token])
        if token in found:
            expected = torch.stack(found[token]).mean(0)
            torch.testing.assert_close(torch.from_numpy(means[column]), expected, **TOLERANCE)
        else:
            assert np.isnan(means[column]).all()


def test_the_summary_counts_what_was_met(model, cells):
    embedder = embedder_of(model, cells)
    embedded(embedder)
    found = embedder.summary()
    counts = cells.X.toarray()
    assert found["num_empty_cells"] == 1
    assert (found["genes_known"], found["genes_unknown"]) == (28, 2)
    assert found["counts_known"] == pytest.approx(counts[:, :28].sum() / counts.sum())
    assert found["params"] == {
        "layer": -2, "hidden_state": 1, "precision": "32-true", "pooling": "mean",
        "genes_per_cell": 15, "special_tokens": 2,
    }  # fmt: skip
    assert found["checkpoint"] == model_fingerprint(model)


def test_the_model_is_back_in_its_mode_and_was_not_training(model, cells):
    model.train()
    first, second = (embedded(embedder_of(model, cells)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.training


def test_progress_counts_every_cell_once(model, cells):
    done = []
    for _ in embedder_of(model, cells, token_budget=30).blocks(done.append):
        pass
    assert sum(done) == 9


def test_genes_of_another_species_are_refused(model, cells):
    cells.var_names = [*cells.var_names[28:], *cells.var_names[:28]][::-1]
    cells.var_names = [f"MOUSE{i}" if i < 27 else cells.var_names[i] for i in range(30)]
    with pytest.raises(ValueError, match=r"only \d+\.\d% of the counts of the first 9 cells .*"
                       r"at least 50% must be.*such as MOUSE0"):  # fmt: skip
        embedded(embedder_of(model, cells))
    embedded(embedder_of(model, cells, min_mapped_counts=0.0))
    cells.var_names = [f"MOUSE{i}" for i in range(30)]
    with pytest.raises(ValueError, match=r"knows none of the 30 genes of adata\.X"):
        embedder_of(model, cells)


def test_values_that_are_no_counts_are_refused(model, cells):
    cells.X = cells.X.log1p()
    with pytest.raises(ValueError, match="look log-normalised"):
        embedded(embedder_of(model, cells))


@pytest.mark.parametrize("layer", [-4, 3])
def test_layers_that_the_model_lacks_are_refused(model, cells, layer):
    with pytest.raises(ValueError, match=f"between -3 and 2 for a model of 2 layers .*got {layer}"):
        embedder_of(model, cells, layer=layer)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"token_budget": 0}, "token_budget must be at least 1"),
        ({"min_mapped_counts": 2.0}, "min_mapped_counts must be in"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingSettings(**setting)


def test_layers_count_as_hugging_faces_hidden_states():
    states = list(range(13))  # what 12 layers give
    for layer in range(-13, 13):
        assert layer_depth(layer, 12) == states[layer]


@given(st.lists(st.integers(1, 60), max_size=50), st.integers(1, 200))
def test_batches_hold_every_cell_once_within_the_budget(lengths, budget):
    array = np.array(lengths, dtype=np.int64)
    batches = batches_by_length(array, budget)
    assert sorted(np.concatenate([*batches, np.zeros(0, dtype=int)]).tolist()) == list(
        range(len(lengths))
    )
    for batch in batches:
        assert len(batch) == 1 or len(batch) * array[batch].max() <= budget
    longest = [array[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_fingerprints_follow_what_changes_the_answers(model):
    before = model_fingerprint(model)
    assert model_fingerprint(model) == before
    model.pair_settings = PairSettings(seq_length=33, mask_prob=0.5, seed=9)
    assert model_fingerprint(model) == before
    model.pair_settings = PairSettings(seq_length=31)
    shorter = model_fingerprint(model)
    with torch.no_grad():
        model.net.cls.predictions.decoder.bias[0] += 1
    assert len({before, shorter, model_fingerprint(model)}) == 3
