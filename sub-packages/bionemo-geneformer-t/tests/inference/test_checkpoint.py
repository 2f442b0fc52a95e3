import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_axes import random_axes

from bionemo.geneformer_t.inference.checkpoint import check_vocab, load_model, open_split
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation, Mixing
from bionemo.geneformer_t.model.successor_index import SuccessorIndex
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged


@pytest.fixture
def checkpoint(model, save_checkpoint):
    return save_checkpoint(model)


def test_a_checkpoint_brings_its_vocabulary_and_settings(checkpoint, model, vocab) -> None:
    loaded = load_model(checkpoint)
    assert loaded.vocab.fingerprint == vocab.fingerprint
    assert loaded.pair_settings.seq_length == 33
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name].cpu(), value.cpu())


def test_a_missing_checkpoint_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"checkpoint: .*no\.ckpt"):
        load_model(tmp_path / "no.ckpt")


def test_a_split_is_encoded_as_in_training(model, tiny_data_dir) -> None:
    dataset = open_split(model, tiny_data_dir / "test")
    assert dataset.settings.genes_per_cell == 15
    assert dataset.graph.num_edges == 14 * 2 + 1
    other = open_split(model, tiny_data_dir / "test", "temporal_neighbors")
    assert other.settings.neighbor_key == "temporal_neighbors"


def test_a_split_with_other_medians_is_refused_naming_both(model, vocab, tiny_data_dir) -> None:
    path = tiny_data_dir / "test" / "medians.json"
    medians = json.loads(path.read_text())
    path.write_text(json.dumps({gene: value + 1 for gene, value in medians.items()}))
    with pytest.raises(ValueError, match="was prepared with vocabulary") as error:
        open_split(model, tiny_data_dir / "test")
    assert vocab.fingerprint[:12] in str(error.value)
    assert str(tiny_data_dir / "test") in str(error.value)
    with pytest.raises(ValueError, match="was prepared with vocabulary"):
        check_vocab(model, tiny_data_dir / "test")


def test_successors_are_shuffled_as_in_training_on_request(model, tiny_data_dir) -> None:
    true = open_split(model, tiny_data_dir / "train").graph
    again = open_split(model, tiny_data_dir / "train", as_trained=True).graph
    np.testing.assert_array_equal(again.indices, true.indices)
    model.pair_settings = replace(model.pair_settings, shuffle_successors=True)
    still = open_split(model, tiny_data_dir / "train").graph
    np.testing.assert_array_equal(still.indices, true.indices)
    shuffled = open_split(model, tiny_data_dir / "train", as_trained=True).graph
    assert (shuffled.indices != true.indices).any()
    np.testing.assert_array_equal(shuffled.out_degree, true.out_degree)


def test_axes_of_another_vocabulary_are_damage(model, save_checkpoint) -> None:
    size = len(model.vocab)
    axes = random_axes(size, num_ranks=15)
    for wrong, message in (
        (random_axes(size - 1, num_ranks=15), f"of_current is {size - 1} x 3, expected {size} x 3"),
        (replace(axes, correlations=np.ones(3, np.float32)), "not all above 0 and below 1"),
        (replace(axes, num_ranks=0), "num_ranks is 0"),
    ):
        model.axes = wrong
        with pytest.raises(ValueError, match=rf"model\.ckpt is damaged: .*{message}"):
            load_model(save_checkpoint(model))
    model.axes = axes
    np.testing.assert_array_equal(
        load_model(save_checkpoint(model)).axes.of_current, axes.of_current
    )


def test_what_needs_axes_is_refused_without_them(model, save_checkpoint) -> None:
    index = SuccessorIndex.of(np.zeros((1, 2), np.float32), [[0]], [[1.0]], {0: np.array([5])})
    mixing = Mixing(number=1, width=4.0, network=0.5, memory=0.4, uniform=0.1, space="next cells")
    model.memory = KnnInterpolation(index=index, gene_ids=np.arange(5, 9), mixing=mixing)
    with pytest.raises(ValueError, match="searches along 2 canonical axes, and it holds 0"):
        load_model(save_checkpoint(model))
    model.memory = None
    model.transitions = TransitionFit(
        choice=TransitionChoice(axes_weight=2.0), references=Ragged.of([np.array([5])]),
        num_contexts=1, num_candidates=1, spread=0.1, log_likelihood=-1.0, uniform=-1.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="fitted with canonical axes, and it holds none"):
        load_model(save_checkpoint(model))
