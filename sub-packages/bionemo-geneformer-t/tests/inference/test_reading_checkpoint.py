"""Checkpoints are read, code in them is not run, and every damage has its own message."""

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.inference.checkpoint import (
    build_model,
    load_model,
    read_checkpoint,
    summarise_checkpoint,
)
from bionemo.geneformer_t.model.isolation import ISOLATION_RULE_VERSION
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO
from bionemo.geneformer_t.vocab import GeneVocab

TRAINED = Provenance(
    data_name="mine", data_fingerprint="ab", graph_fingerprint="cd", neighbor_key="next_cell_ids",
    num_cells=3, num_examples=2, num_edges=2, seed=1, pretrained="somewhere",
)  # fmt: skip


def load_from(path: Path) -> TemporalGeneformerModel:
    return TemporalGeneformerModel.load_from_checkpoint(path)


def pretrained(path: Path) -> TemporalGeneformerModel:
    return TemporalGeneformerModel.from_pretrained(path)


def resume(path: Path) -> object:
    return SafeCheckpointIO().load_checkpoint(path)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def changed(path: Path, **entries) -> Path:
    content = torch.load(path, weights_only=True)
    content[CHECKPOINT_KEY] |= entries
    torch.save(content, path)
    return path


def test_a_checkpoint_says_what_it_carries(model, save_checkpoint):
    model.provenance = TRAINED
    found = summarise_checkpoint(save_checkpoint(model))
    assert found.config == model.config
    assert found.vocab.fingerprint == model.vocab.fingerprint
    assert found.vocab.medians == dict(model.vocab.medians)
    assert found.pair_settings == model.pair_settings
    assert found.provenance == TRAINED
    assert found.isolation_rule == ISOLATION_RULE_VERSION
    assert found.num_weights == sum(p.numel() for p in model.parameters())


def test_nothing_but_plain_values_is_in_it(model, save_checkpoint):
    model.provenance = TRAINED
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    assert content[CHECKPOINT_KEY]["provenance"] == TRAINED.to_dict()
    assert content["hyper_parameters"]["config"] == model.config.to_dict()


def test_another_isolation_rule_is_refused(model, save_checkpoint):
    path = changed(save_checkpoint(model), isolation_rule=ISOLATION_RULE_VERSION + 1)
    with pytest.raises(ValueError, match=r"model\.ckpt: .* trained under isolation rule 2"):
        read_checkpoint(path)
    with pytest.raises(ValueError, match="Install the version that wrote it"):
        type(model).load_from_checkpoint(path)


def test_settings_of_a_newer_version_are_told_from_damage(model, save_checkpoint):
    settings = {**model.pair_settings.to_dict(), "weather": "fine"}
    path = changed(save_checkpoint(model), version="9.0", pair_settings=settings)
    with pytest.raises(ValueError, match=r"written by geneformer-t 9\.0 and holds what this"):
        load_model(path)


def test_weights_of_other_sizes_are_damage(model, save_checkpoint):
    path = save_checkpoint(model)
    content = read_checkpoint(path)
    content["state_dict"]["net.bert.embeddings.word_embeddings.weight"] = torch.zeros(3, 16)
    with pytest.raises(ValueError, match="its weights do not match its own settings"):
        build_model(path, content)


EMBEDDINGS = "net.bert.embeddings.word_embeddings.weight"


def of_one_number(content: dict) -> None:
    """A tensor of 400 GB that steps over one number again and again."""
    content["state_dict"][EMBEDDINGS] = torch.zeros(1).expand(10**7, 10**4)
    content["hyper_parameters"]["config"] |= {"vocab_size": 10**7, "hidden_size": 10**4}


def of_shared_layers(content: dict) -> None:
    """500 layers, whose tensors all share those of the first."""
    state = content["state_dict"]
    first = {name: value for name, value in state.items() if ".layer.0." in name}
    for layer in range(500):
        state |= {name.replace(".0.", f".{layer}.", 1): value for name, value in first.items()}
    content["hyper_parameters"]["config"]["num_hidden_layers"] = 500


@pytest.mark.parametrize("reader", [load_model, summarise_checkpoint, load_from, pretrained])
@pytest.mark.parametrize("claim", [of_one_number, of_shared_layers])
def test_tensors_cannot_claim_more_than_the_file_holds(model, save_checkpoint, claim, reader):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    claim(content)
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"claim [\d,]+ bytes, and it holds [\d,]+ for them"):
        reader(path)


CLAIMS = {
    "hidden_size": 10**9, "num_hidden_layers": 10**6, "vocab_size": 10**12,
    "max_position_embeddings": 10**10, "intermediate_size": 10**15, "type_vocab_size": 10**9,
    "rank_knots": 10**9,
}  # fmt: skip


@pytest.mark.parametrize("reader", [load_model, summarise_checkpoint, load_from, pretrained])
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_of_absurd_sizes_is_refused_at_once(model, save_checkpoint, name, reader):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["config"][name] = CLAIMS[name]
    torch.save(content, path)
    if reader is pretrained and name == "vocab_size":
        assert len(reader(path).vocab) == len(model.vocab)  # takes it from the vocabulary
        return
    start = time.process_time()
    with pytest.raises(ValueError, match=rf"model\.ckpt is damaged: its weights do not .*{name}"):
        reader(path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("reader", [load_model, summarise_checkpoint, load_from, pretrained])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(model, save_checkpoint, value, reader):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    name = "net.bert.encoder.layer.1.output.dense.weight"
    content["state_dict"][name][3, 5] = value
    torch.save(content, path)
    found = r"1 of its \d+ tensors hold values .*layer\.1\.output\.dense\.weight \(1 of 512 val"
    with pytest.raises(ValueError, match=rf"model\.ckpt is damaged: {found}"):
        reader(path)


def test_a_vocabulary_that_is_larger_than_the_weights_is_refused(model, save_checkpoint):
    path = save_checkpoint(model)
    vocab = GeneVocab.of_genes({f"ENSG{i}": 1.0 for i in range(60)}).to_dict()
    with pytest.raises(ValueError, match=r"model\.ckpt: the data's vocabulary has 65 tokens"):
        load_model(changed(path, vocab=vocab))


@pytest.mark.parametrize(
    ("place", "value", "names"),
    [
        (("hyper_parameters", "config", "hidden_size"), np.int64(16), "hidden_size"),
        (("hyper_parameters", "learning_rate"), np.float64(1e-4), "learning_rate"),
        (("hyper_parameters", "compile"), np.bool_(False), "compile"),
        ((CHECKPOINT_KEY, "pair_settings", "seed"), np.uint8(1), "seed"),
    ],
)
def test_a_number_of_numpy_in_an_old_checkpoint_is_refused_by_its_name(
    model, save_checkpoint, place, value, names
):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    entry = content
    for name in place[:-1]:
        entry = entry[name]
    entry[place[-1]] = value
    torch.save(content, path)
    for reader in (load_model, load_from, pretrained, resume):
        with pytest.raises(ValueError, match=rf"model\.ckpt was refused: .*NumPy under {names},"):
            reader(path)


def test_all_numbers_of_numpy_are_named_once(model, save_checkpoint):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["config"] |= {
        "hidden_size": np.int64(16),
        "vocab_size": np.int64(1),
    }
    content["hyper_parameters"]["weight_decay"] = np.float32(0.5)
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"under vocab_size, hidden_size, weight_decay, and a ch"):
        load_model(path)


@pytest.mark.parametrize("entry", ["state_dict", "hyper_parameters"])
def test_a_checkpoint_without_weights_or_settings_is_incomplete(model, save_checkpoint, entry):
    path = save_checkpoint(model)
    content = torch.load(path, weights_only=True)
    del content[entry]
    torch.save(content, path)
    with pytest.raises(ValueError, match=f"incomplete checkpoint: it lacks {entry}"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_every_truncation_is_told(model, save_checkpoint, share):
    path = save_checkpoint(model)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"model\.ckpt is (truncated or damaged|no checkpoint)"):
        read_checkpoint(path)


@pytest.mark.parametrize("reader", [load_model, load_from, pretrained, resume])
def test_altered_weights_are_told_although_they_are_still_numbers(model, save_checkpoint, reader):
    path = save_checkpoint(model)
    content = path.read_bytes()
    weights = model.net.bert.embeddings.word_embeddings.weight.detach().numpy().tobytes()
    place = content.index(weights) + 4  # the lowest byte of the second number
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(ValueError, match=r"model\.ckpt is truncated or damaged \(checksum of"):
        reader(path)


def test_code_is_refused_by_name_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": Hostile()}}, path)
    with pytest.raises(ValueError, match=r"evil\.ckpt was refused: it asks to import \w+\.mkdir"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match=r"evil\.ckpt"):
        read_checkpoint(path)
    assert not Path("owned").exists()


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}])
def test_other_programs_checkpoints_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt.* holds no Geneformer-T model"):
        read_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize("content", [b'{"a": 1}', b"\x89HDF\r\n\x1a\n" + bytes(2000)])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    (tmp_path / "other.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.ckpt"):
        read_checkpoint(tmp_path / "other.ckpt")
