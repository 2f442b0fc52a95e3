"""What changes a model's answers changes its fingerprint; the memory is a part of it."""

from dataclasses import replace

import numpy as np
import pytest
from random_axes import random_axes

from bionemo.geneformer_t.inference import model_fingerprint as module
from bionemo.geneformer_t.inference.checkpoint import load_model, summarise_checkpoint
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.model.knn_memory import NEXT, KnnInterpolation, Mixing
from bionemo.geneformer_t.model.successor_index import SuccessorIndex


@pytest.fixture
def memory() -> KnnInterpolation:
    rng = np.random.default_rng(0)
    index = SuccessorIndex.of(
        rng.normal(size=(3, 4)).astype(np.float32), [[0], [1], [0, 1]], [[1.0], [1.0], [0.5, 0.5]],
        {0: np.array([5, 6]), 1: np.array([6, 7])},
    )  # fmt: skip
    mixing = Mixing(number=2, width=4.0, network=0.5, memory=0.4, uniform=0.1)
    return KnnInterpolation(index=index, gene_ids=np.arange(5, 9), mixing=mixing)


def test_it_is_that_of_the_checkpoint_wherever_the_file_lies(untrained_checkpoint, tmp_path):
    copy = tmp_path / "renamed.ckpt"
    copy.write_bytes(untrained_checkpoint.read_bytes())
    mine = model_fingerprint(load_model(untrained_checkpoint))
    assert summarise_checkpoint(copy).fingerprint == mine


def test_a_memory_and_everything_in_it_counts(untrained_checkpoint, memory):
    model = load_model(untrained_checkpoint)
    found = [model_fingerprint(model)]
    points, genes = memory.index.points.copy(), memory.index.genes.copy()
    points[0, 0] += 1
    genes[0] = 8
    for other in (
        memory,
        replace(memory, mixing=replace(memory.mixing, width=8.0)),
        replace(memory, mixing=replace(memory.mixing, space=NEXT)),
        replace(memory, index=replace(memory.index, points=points)),
        replace(memory, index=replace(memory.index, genes=genes)),
        replace(memory, gene_ids=np.arange(5, 10)),
    ):
        model.memory = other
        found.append(model_fingerprint(model))
    assert len(set(found)) == len(found)
    model.memory = memory
    assert model_fingerprint(model) == found[1]


def test_a_memory_by_hidden_states_counts_as_before_there_were_other_spaces(
    untrained_checkpoint, memory, monkeypatch
):
    model = load_model(untrained_checkpoint)
    model.memory = memory
    hashed = []
    monkeypatch.setattr(module.json, "dumps", lambda value, **_: hashed.append(value) or "")
    model_fingerprint(model)
    assert hashed[-1] == {
        "number": 2, "width": 4.0, "network": 0.5, "memory": 0.4, "uniform": 0.1
    }  # fmt: skip


def test_canonical_axes_and_everything_in_them_count(untrained_checkpoint):
    model = load_model(untrained_checkpoint)
    found = [model_fingerprint(model)]
    axes = random_axes(len(model.vocab), num_ranks=7)
    others = (
        axes,
        replace(axes, num_ranks=8),
        replace(axes, of_current=axes.of_next),
        replace(axes, next_shift=axes.current_shift),
        replace(axes, correlations=axes.correlations / 2),
    )
    for other in others:
        model.axes = other
        found.append(model_fingerprint(model))
    assert len(set(found)) == len(found)
