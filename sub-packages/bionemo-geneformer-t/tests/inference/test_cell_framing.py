"""Pretrained weights read cells as their own tools do; trained models as in training."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from foreign import write_foreign

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.inference.cell_framing import reading_of, untrained_tokens
from bionemo.geneformer_t.inference.checkpoint import load_encoder
from bionemo.geneformer_t.inference.embedder import Embedder
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, SEP

GENES = [f"ENSG{i:011d}" for i in range(30)]
MEDIANS = {gene: 1.0 + i % 4 for i, gene in enumerate(GENES)}
LAYOUTS = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}


@pytest.fixture(params=LAYOUTS)
def pretrained(request, tmp_path):
    """The name of a layout, Hugging Face's model, and ours from the same folder."""
    theirs = write_foreign(
        tmp_path / "weights", LAYOUTS[request.param] + GENES, MEDIANS, max_position_embeddings=24
    )
    return request.param, theirs, load_encoder(tmp_path / "weights")


@pytest.fixture
def cells() -> anndata.AnnData:
    counts = np.random.default_rng(0).poisson(1.0, (6, 30)).astype(np.float32)
    counts[:, 3] += 1
    return anndata.AnnData(counts, var=pd.DataFrame(index=GENES))


def test_pretrained_weights_embed_as_geneformers_own_tools_do(pretrained, cells):
    """The mean over genes of a hidden state; V1 reads genes alone, V2 between <cls> and <eos>."""
    layout, theirs, model = pretrained
    embedder = Embedder(model, anndata_source(cells), EmbeddingSettings())
    (block,) = embedder.blocks()
    first_gene = len(LAYOUTS[layout])
    for row, counts in enumerate(np.asarray(cells.X)):
        values = counts.astype(np.float64) / np.array([MEDIANS[gene] for gene in GENES])
        expressed = np.flatnonzero(counts)
        ranked = expressed[np.argsort(-values[expressed], kind="stable")] + first_gene
        ids = ranked[:24] if layout == "V1" else np.array([2, *ranked[:22], 3])
        with torch.no_grad():
            states = theirs.bert(torch.from_numpy(ids)[None], output_hidden_states=True)
        genes = states.hidden_states[-2][0][torch.from_numpy(ids >= first_gene)]
        expected = genes.mean(0).numpy()
        np.testing.assert_allclose(block.embeddings[row], expected, rtol=1e-5, atol=1e-5)


def test_cls_is_pooled_only_where_the_weights_know_it(pretrained, cells):
    layout, _, model = pretrained
    settings = EmbeddingSettings(pooling="cls")
    if layout == "V1":
        with pytest.raises(ValueError, match=r"the state of \[CLS\], which the pretrained weights"):
            Embedder(model, anndata_source(cells), settings)
    else:
        (block,) = Embedder(model, anndata_source(cells), settings).blocks()
        assert np.isfinite(block.embeddings).all()


def test_training_makes_every_special_token_known(pretrained):
    layout, _, model = pretrained
    assert (CLS in untrained_tokens(model)) == (layout == "V1")
    model.provenance = Provenance(
        data_name="mine", data_fingerprint="ab", graph_fingerprint="cd", neighbor_key="next",
        num_cells=3, num_examples=2, num_edges=2, seed=1,
    )  # fmt: skip
    reading = reading_of(model)
    assert reading.before == (model.vocab.ids[CLS],)
    assert reading.after == (model.vocab.ids[SEP],)


def test_trained_models_read_as_many_genes_as_in_training(model, vocab):
    reading = reading_of(model)
    (context,) = reading.contexts(Ragged.of([vocab.gene_ids])).rows()
    assert context.tolist() == [vocab.ids[CLS], *vocab.gene_ids[:15], vocab.ids[SEP]]


def test_models_that_met_no_data_use_all_their_positions(pretrained):
    _, _, model = pretrained
    assert reading_of(model).contexts(Ragged.of([model.vocab.gene_ids])).lengths == [24]
