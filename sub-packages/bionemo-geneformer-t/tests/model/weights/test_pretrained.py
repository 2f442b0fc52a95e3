"""Reading a pretrained checkpoint: what agrees with itself is read, and nothing else."""

import json
import pickle
import shutil

import pytest
import torch
from foreign import V1, V2, foreign_model, write_foreign
from safetensors.torch import load_file, save_file

from bionemo.geneformer_t.model.weights.pretrained import read_pretrained
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS

V1_SPECIALS, V2_SPECIALS = ["<pad>", "<mask>"], ["<pad>", "<mask>", "<cls>", "<eos>"]
GENES = [f"ENSG{i:011d}" for i in range(20)]
MEDIANS = {gene: 1.0 + i for i, gene in enumerate(GENES)}


@pytest.fixture
def folder(tmp_path):
    write_foreign(tmp_path / "weights", V1_SPECIALS + GENES, MEDIANS)
    return tmp_path / "weights"


def change_config(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_a_published_folder_is_read_with_its_tokens_and_medians(folder):
    found = read_pretrained(folder)
    assert found.tokens == ("[PAD]", "[MASK]", *GENES)
    assert found.medians == MEDIANS
    assert found.has_head
    assert not found.knows_next_cells
    assert found.config.hidden_size == 16
    vocab = found.own_vocab()
    assert vocab.tokens[:22] == found.tokens
    assert vocab.tokens[22:] == ("[CLS]", "[SEP]", "[UKW]")


def test_geneformers_second_version_brings_cls_and_eos(tmp_path):
    write_foreign(tmp_path / "v2", V2_SPECIALS + GENES)
    found = read_pretrained(tmp_path / "v2")
    assert found.tokens[:4] == ("[PAD]", "[MASK]", "[CLS]", "[SEP]")
    with pytest.raises(ValueError, match="brings no gene medians"):
        found.own_vocab()


def test_a_bare_encoder_has_no_head(folder):
    state = load_file(folder / "model.safetensors")
    bare = {n.removeprefix("bert."): t for n, t in state.items() if n.startswith("bert.")}
    save_file(bare, folder / "model.safetensors")
    change_config(folder, architectures=["BertModel"])
    assert not read_pretrained(folder).has_head


def test_an_old_pickled_file_is_read_as_well(folder):
    expected = read_pretrained(folder).state
    torch.save(foreign_model(vocab_size=22).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    found = read_pretrained(folder).state
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def test_a_folder_without_config_or_vocabulary_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected config\.json beside"):
        read_pretrained(folder)
    dictionary = tmp_path / "other" / "token_dictionary_small.pkl"
    elsewhere = dictionary.rename(tmp_path / "tokens.pkl")
    with pytest.raises(FileNotFoundError, match="does not say which gene each row"):
        read_pretrained(tmp_path / "other")
    assert read_pretrained(tmp_path / "other", elsewhere).tokens[2:] == tuple(GENES)


def tokens_of(number, specials):
    return specials + [f"ENSG{i:011d}" for i in range(number - len(specials))]


@pytest.mark.parametrize(
    ("weights", "other", "message"),
    [
        (V1, (V2, V2_SPECIALS), "have 25,426 tokens, Geneformer V1.* has 20,275 tokens, .* V2"),
        (V2, (V1, V1_SPECIALS), "have 20,275 tokens, Geneformer V2.* has 25,426 tokens, .* V1"),
    ],
    ids=["V2 on V1", "V1 on V2"],
)
def test_the_other_versions_vocabulary_is_refused(tmp_path, weights, other, message):
    foreign_model(**weights).save_pretrained(tmp_path)
    sizes, specials = other
    ids = {token: i for i, token in enumerate(tokens_of(sizes["vocab_size"], specials))}
    (tmp_path / "token_dictionary_gc.pkl").write_bytes(pickle.dumps(ids))
    with pytest.raises(ValueError, match=message):
        read_pretrained(tmp_path)
    given = (tmp_path / "token_dictionary_gc.pkl").rename(tmp_path / "given.pkl")
    with pytest.raises(ValueError, match=message):
        read_pretrained(tmp_path, given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, r"layer\.2\.\S+ is absent and should be"),
        ({"num_hidden_layers": 1}, r"layer\.1\.\S+ is .* and should be absent"),
        ({"intermediate_size": 32}, "is 24 and should be 32"),
        ({"hidden_size": 32}, "is 16 and should be 32"),
        ({"max_position_embeddings": 100}, "is 512 x 16 and should be 100 x 16"),
        ({"num_attention_heads": 3}, "got 3 heads for a hidden size of 16"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"model_type": "esm"}, "another architecture: model_type 'esm'"),
    ],
)
def test_a_config_that_its_weights_do_not_have_is_refused(folder, changes, message):
    change_config(folder, **changes)
    with pytest.raises(ValueError, match=message):
        read_pretrained(folder)


def test_weights_of_another_architecture_are_refused(folder):
    state = load_file(folder / "model.safetensors")
    save_file({**state, "lm_head.weight": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"weights: this is .* another architecture.*lm_head"):
        read_pretrained(folder)


def test_a_token_dictionary_that_runs_code_is_refused_and_does_not_run(folder, tmp_path):
    class RunsCode:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    (folder / "token_dictionary_small.pkl").write_bytes(pickle.dumps({"a": RunsCode()}))
    with pytest.raises(ValueError, match=r"token_dictionary_small\.pkl was refused: .*io\.open"):
        read_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_checkpoint_of_a_run_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt is no checkpoint of a training run"):
        read_pretrained(tmp_path / "other.ckpt")


def test_special_tokens_are_known_by_their_published_names(folder):
    assert set(read_pretrained(folder).own_vocab().tokens) >= set(SPECIAL_TOKENS)
