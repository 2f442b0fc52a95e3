import json

import pytest
import torch

from bionemo.geneformer_t.inference.checkpoint import check_vocab, load_model, open_split


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
