"""After training the best checkpoint gets canonical axes, before its transitions are fitted."""

import pytest
from random_axes import random_axes

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.training import add_canonical_axes as module
from bionemo.geneformer_t.training.add_canonical_axes import add_canonical_axes
from bionemo.geneformer_t.training.add_transitions import add_transitions


@pytest.fixture
def splits(tiny_data_dir, untrained_checkpoint, monkeypatch):
    model = load_model(untrained_checkpoint)
    axes = random_axes(len(model.vocab), num_ranks=30)
    monkeypatch.setattr(module, "axes_of_split", lambda *_: axes)
    return [open_split(model, tiny_data_dir / name) for name in ("train", "val")]


def test_a_checkpoint_gets_them_once(untrained_checkpoint, splits, monkeypatch) -> None:
    add_canonical_axes(untrained_checkpoint, *splits, seed=0)
    first = untrained_checkpoint.read_bytes()
    assert len(load_model(untrained_checkpoint).axes) == 3
    other = random_axes(len(load_model(untrained_checkpoint).vocab), num_ranks=30, seed=1)
    monkeypatch.setattr(module, "axes_of_split", lambda *_: other)
    add_canonical_axes(untrained_checkpoint, *splits, seed=0, again=True)
    assert untrained_checkpoint.read_bytes() == first


def test_transitions_without_them_stay_so_until_they_are_fitted_again(
    untrained_checkpoint, splits
) -> None:
    add_transitions(untrained_checkpoint, *splits, seed=0)
    finished = untrained_checkpoint.read_bytes()
    add_canonical_axes(untrained_checkpoint, *splits, seed=0)
    assert untrained_checkpoint.read_bytes() == finished
    add_canonical_axes(untrained_checkpoint, *splits, seed=0, again=True)
    assert load_model(untrained_checkpoint).axes is not None


def test_without_validation_successors_there_are_none(untrained_checkpoint, splits) -> None:
    training, validation = splits
    before = untrained_checkpoint.read_bytes()
    add_canonical_axes(untrained_checkpoint, training, None, seed=0)
    validation.graph = NeighborGraph.empty(len(validation.tokens))
    add_canonical_axes(untrained_checkpoint, training, validation, seed=0)
    assert untrained_checkpoint.read_bytes() == before


def test_pairs_that_tell_nothing_leave_the_checkpoint_as_it_is(
    untrained_checkpoint, splits, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(module, "axes_of_split", lambda *_: None)
    before = untrained_checkpoint.read_bytes()
    with caplog.at_level("INFO"):
        add_canonical_axes(untrained_checkpoint, *splits, seed=0)
    assert "canonical axes: none; the training pairs are too few" in caplog.text
    assert untrained_checkpoint.read_bytes() == before
