"""In the benchmark of clones, the model's row is what its transitions are made of."""

from types import SimpleNamespace

import anndata
import clones as bench
import numpy as np
import pytest
from random_axes import random_axes
from scipy.special import softmax

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training.checkpoint_files import add_entry


@pytest.mark.filterwarnings("ignore")
def test_the_model_scores_as_its_transitions_do(tiny_data_dir, untrained_checkpoint) -> None:
    model = load_model(untrained_checkpoint)
    tokens = open_split(model, tiny_data_dir / "train").tokens
    choice = TransitionChoice(num_ranks=10, temperature=20.0, num_successors=5, axes_weight=2.0)
    fit = TransitionFit(
        choice=choice, references=Ragged.of(tokens.rows_of(np.arange(6))).truncated(15),
        num_contexts=1, num_candidates=1, spread=0.1, log_likelihood=-1.0, uniform=-1.0,
    )  # fmt: skip
    axes = random_axes(len(model.required_vocab()), num_ranks=15)
    add_entry(untrained_checkpoint, "axes", axes.to_dict())
    add_entry(untrained_checkpoint, "transitions", fit.to_dict())
    adata = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    current = np.array([0, 3, 8])
    found = bench.by_model(untrained_checkpoint, adata, SimpleNamespace(cells=current))
    gft.tl.transitions(adata, untrained_checkpoint)
    matrix = adata.obsp["T_geneformer_t"].toarray()[current]
    scores = found["the model"].copy()
    scores[np.arange(3), current] = -np.inf
    scores[scores < np.sort(scores, axis=1)[:, [-5]]] = -np.inf
    np.testing.assert_allclose(softmax(scores / 20, axis=1), matrix, rtol=1e-4, atol=1e-7)
    assert np.abs(found["the model"] - found["the network alone"]).max() > 1
