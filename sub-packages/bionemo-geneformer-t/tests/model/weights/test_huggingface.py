"""The tables between Hugging Face's layout and ours, both ways."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.weights.huggingface import (
    HUGGING_FACE,
    TRANSFORMER_ENGINE,
    config_to_ours,
    config_to_theirs,
    state_to_ours,
    state_to_theirs,
)

SMALL = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 11,  # two digits in a layer's name
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}


@pytest.fixture
def theirs() -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(**SMALL, hidden_act="relu"))


def as_transformer_engine(state: dict[str, torch.Tensor], heads: int) -> dict[str, torch.Tensor]:
    """The same weights as the recipes' layers keep them, head by head."""
    kept = dict(state)
    for name in state:
        if ".attention.self.query." in name:
            parts = [kept.pop(name.replace("query", p)) for p in ("query", "key", "value")]
            rows = [part.chunk(heads)[head] for head in range(heads) for part in parts]
            kept[name.replace("attention.self.query", "self_attention.qkv")] = torch.cat(rows)
    back = {ours: name for name, ours in TRANSFORMER_ENGINE.items()}
    named = {}
    for name, tensor in kept.items():
        for layer in range(SMALL["num_hidden_layers"]):
            pattern = name.replace(f".layer.{layer}.", ".layer.*.")
            if pattern in back:
                named[back[pattern].replace("*", str(layer))] = tensor
                break
        else:
            named[name] = tensor
    return {**named, "bert.encoder.layer.0.self_attention.proj._extra_state": torch.zeros(1)}


def assert_same_state(mine, expected):
    assert set(mine) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(mine[name], tensor), name


def test_every_tensor_of_ours_has_a_name_of_theirs_and_back(theirs):
    net = NextCellBert(BioBertConfig(**SMALL))
    ours = state_to_ours(theirs.state_dict(), 3)
    missing, unexpected = net.load_state_dict(ours, strict=False)
    assert not unexpected
    assert missing == ["cls.predictions.decoder.weight"]  # the tied embedding, stored once
    back = state_to_theirs(net.state_dict())
    assert set(back) <= set(theirs.state_dict())
    for name, tensor in back.items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    lacking = theirs.load_state_dict(back, strict=False).missing_keys
    assert {n for n in lacking if not n.endswith("position_ids")} == {
        "cls.predictions.decoder.weight", "cls.predictions.decoder.bias",
    }  # fmt: skip


def test_tables_name_nothing_twice():
    for table in (HUGGING_FACE, TRANSFORMER_ENGINE):
        assert len(set(table.values())) == len(table)


def test_a_bare_encoder_without_prefix_is_the_same_encoder(theirs):
    whole = state_to_ours(theirs.state_dict(), 3)
    bare = state_to_ours(theirs.bert.state_dict(), 3)
    assert_same_state(bare, {n: t for n, t in whole.items() if n.startswith("bert.")})


def test_the_recipes_fused_layers_are_the_same_layers(theirs):
    expected = state_to_ours(theirs.state_dict(), 3)
    fused = as_transformer_engine(theirs.state_dict(), heads=3)
    assert any("qkv" in name for name in fused)
    assert_same_state(state_to_ours(fused, 3), expected)
    with pytest.raises(ValueError, match="cannot be cut into query, key and value of 5 heads"):
        state_to_ours(fused, 5)


def test_tensors_of_another_architecture_are_named(theirs):
    state = {**theirs.state_dict(), "classifier.weight": torch.zeros(2, 12)}
    with pytest.raises(ValueError, match=r"another architecture.*classifier\.weight"):
        state_to_ours(state, 3)


def test_an_untied_decoder_is_refused(theirs):
    state = dict(theirs.state_dict())
    state["cls.predictions.decoder.weight"] = state["cls.predictions.decoder.weight"] + 1
    with pytest.raises(ValueError, match=r"decoder\.weight differs from .*word_embeddings"):
        state_to_ours(state, 3)


def test_sizes_survive_the_way_out_and_back(theirs):
    config = BioBertConfig(**SMALL, layer_norm_eps=1e-6, position_scheme="restarted")
    assert config_to_ours(config_to_theirs(config, pad_token_id=2)) == config
    assert config_to_ours(theirs.config.to_dict()) == BioBertConfig(**SMALL)
    assert BertConfig(**config_to_theirs(config)).hidden_act == "relu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "another architecture: model_type 'roberta'"),
        ({"architectures": ["BertForSequenceClassification"]}, "BertForSequenceClassification"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'.* has 'relu'"),
        ({"hidden_act": None}, "hidden_act is None"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"num_attention_heads": 5}, "must divide hidden_size; got 5 heads .* size of 12"),
        ({"hidden_size": -1}, "hidden_size must be positive"),
        ({"geneformer_t": {"position_scheme": "odd"}}, "position_scheme"),
    ],
)
def test_other_architectures_are_refused_by_what_differs(theirs, changes, message):
    with pytest.raises(ValueError, match=message):
        config_to_ours({**theirs.config.to_dict(), **changes})


def test_sizes_left_out_are_named_and_the_unsaid_activation_is_not_taken_for_relu(theirs):
    values = theirs.config.to_dict()
    with pytest.raises(ValueError, match=r"lacks hidden_size, num_hidden_layers"):
        config_to_ours({n: v for n, v in values.items()
                        if n not in {"hidden_size", "num_hidden_layers"}})  # fmt: skip
    with pytest.raises(ValueError, match="hidden_act is 'gelu'"):
        config_to_ours({n: v for n, v in values.items() if n != "hidden_act"})
