"""Geneformer's checkpoints and ours: their names on the left, ours on the right.

Geneformer is published as Hugging Face's `BertForMaskedLM`; the BioNeMo recipes also keep it with
the layers of Transformer Engine, which fuse queries, keys and values. Everything here is a pure
function of plain dictionaries: nothing is read, written or initialised, and no tensor is changed
but by cutting a fused one apart.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.some_names import some_names

_LAYER = "bert.encoder.layer.*."

HUGGING_FACE = {
    "bert.embeddings.word_embeddings.weight": "bert.embeddings.word_embeddings.weight",
    "bert.embeddings.position_embeddings.weight": "bert.embeddings.position_embeddings.weight",
    "bert.embeddings.token_type_embeddings.weight": "bert.embeddings.token_type_embeddings.weight",
    "bert.embeddings.LayerNorm.weight": "bert.embeddings.LayerNorm.weight",
    "bert.embeddings.LayerNorm.bias": "bert.embeddings.LayerNorm.bias",
    _LAYER + "attention.self.query.weight": _LAYER + "attention.self.query.weight",
    _LAYER + "attention.self.query.bias": _LAYER + "attention.self.query.bias",
    _LAYER + "attention.self.key.weight": _LAYER + "attention.self.key.weight",
    _LAYER + "attention.self.key.bias": _LAYER + "attention.self.key.bias",
    _LAYER + "attention.self.value.weight": _LAYER + "attention.self.value.weight",
    _LAYER + "attention.self.value.bias": _LAYER + "attention.self.value.bias",
    _LAYER + "attention.output.dense.weight": _LAYER + "attention.output.dense.weight",
    _LAYER + "attention.output.dense.bias": _LAYER + "attention.output.dense.bias",
    _LAYER + "attention.output.LayerNorm.weight": _LAYER + "attention.output.LayerNorm.weight",
    _LAYER + "attention.output.LayerNorm.bias": _LAYER + "attention.output.LayerNorm.bias",
    _LAYER + "intermediate.dense.weight": _LAYER + "intermediate.dense.weight",
    _LAYER + "intermediate.dense.bias": _LAYER + "intermediate.dense.bias",
    _LAYER + "output.dense.weight": _LAYER + "output.dense.weight",
    _LAYER + "output.dense.bias": _LAYER + "output.dense.bias",
    _LAYER + "output.LayerNorm.weight": _LAYER + "output.LayerNorm.weight",
    _LAYER + "output.LayerNorm.bias": _LAYER + "output.LayerNorm.bias",
    "cls.predictions.transform.dense.weight": "cls.predictions.transform.dense.weight",
    "cls.predictions.transform.dense.bias": "cls.predictions.transform.dense.bias",
    "cls.predictions.transform.LayerNorm.weight": "cls.predictions.transform.LayerNorm.weight",
    "cls.predictions.transform.LayerNorm.bias": "cls.predictions.transform.LayerNorm.bias",
    "cls.predictions.bias": "cls.predictions.decoder.bias",
}
"""Every tensor of `BertForMaskedLM` that is stored once; `*` is the number of a layer."""

OWN_BIAS = "geneformer_t.bias"
"""The bias of the head where `cls.predictions.bias` also holds the mean of a bias by rank."""

OWN = {
    "geneformer_t.rank_bias.start": "cls.predictions.rank_bias.start",
    "geneformer_t.rank_bias.change": "cls.predictions.rank_bias.change",
}
"""Tensors that only this package knows; other tools pass over them."""

TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.decoder.bias",
}
"""Second copies that some files hold of what they tie; they must equal the first."""

TRANSFORMER_ENGINE = {
    _LAYER + "self_attention.proj.weight": _LAYER + "attention.output.dense.weight",
    _LAYER + "self_attention.proj.bias": _LAYER + "attention.output.dense.bias",
    _LAYER + "layernorm.weight": _LAYER + "attention.output.LayerNorm.weight",
    _LAYER + "layernorm.bias": _LAYER + "attention.output.LayerNorm.bias",
    _LAYER + "layernorm_mlp.fc1.weight": _LAYER + "intermediate.dense.weight",
    _LAYER + "layernorm_mlp.fc1.bias": _LAYER + "intermediate.dense.bias",
    _LAYER + "layernorm_mlp.fc2.weight": _LAYER + "output.dense.weight",
    _LAYER + "layernorm_mlp.fc2.bias": _LAYER + "output.dense.bias",
    _LAYER + "layernorm_mlp.layer_norm.weight": _LAYER + "output.LayerNorm.weight",
    _LAYER + "layernorm_mlp.layer_norm.bias": _LAYER + "output.LayerNorm.bias",
}
"""The layers' tensors of the BioNeMo recipes' own exports; all others are Hugging Face's."""

FUSED = {
    _LAYER + "self_attention.qkv.weight": _LAYER + "attention.self.{}.weight",
    _LAYER + "self_attention.qkv.bias": _LAYER + "attention.self.{}.bias",
}
"""Transformer Engine's fused projections: for each head its query, key and value, in this order."""

WITHOUT_USE = (
    "bert.embeddings.position_ids",
    "bert.pooler.",
    "cls.seq_relationship.",
    "_extra_state",
)
"""Parts of names of buffers, and of heads that masked genes do not need."""

SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "hidden_dropout_prob": "hidden_dropout_prob",
    "attention_probs_dropout_prob": "attention_probs_dropout_prob",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
    "layer_norm_eps": "layer_norm_eps",
}
"""`config.json`'s names and those of `BioBertConfig`."""

OPTIONAL_SIZES = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "type_vocab_size", "initializer_range",
    "layer_norm_eps",
)  # fmt: skip
"""Sizes that a `config.json` may leave out; Hugging Face's defaults are ours."""

FIXED = {
    "hidden_act": "relu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
"""What every published Geneformer has and this package computes; anything else is refused."""

ARCHITECTURES = ("BertForMaskedLM", "BertForPreTraining", "BertModel")
OURS = "geneformer_t"
"""The entry of `config.json` that holds what only this package knows."""
OWN_SIZES = ("position_scheme", "rank_knots")
"""What this entry holds of `BioBertConfig`."""

_UNSAID = {"hidden_act": "gelu"}
"""Hugging Face's defaults where they are not those of `FIXED`."""


def config_to_ours(values: Mapping[str, Any]) -> BioBertConfig:
    """The sizes in a `config.json`.

    Raises:
        ValueError: It describes another architecture, or lacks a size.
    """
    kind, architectures = values.get("model_type"), values.get("architectures") or []
    if kind != "bert" or not set(architectures) <= set(ARCHITECTURES):
        raise ValueError(
            f"this is a checkpoint of another architecture: model_type {kind!r}, architectures "
            f"{', '.join(architectures) or 'not given'}; expected model_type 'bert' and one of "
            f"{', '.join(ARCHITECTURES)}, as Geneformer has"
        )
    for name, expected in FIXED.items():
        value = values.get(name, _UNSAID.get(name, expected))
        if value != expected:
            raise ValueError(
                f"config.json: {name} is {value!r}, which this package does not compute; every "
                f"published Geneformer has {expected!r}"
            )
    missing = [n for n in SIZES if n not in values and n not in OPTIONAL_SIZES]
    if missing:
        raise ValueError(f"config.json lacks {', '.join(missing)}")
    sizes = {ours: values[theirs] for theirs, ours in SIZES.items() if theirs in values}
    own = {name: values[OURS][name] for name in OWN_SIZES if name in values.get(OURS, {})}
    try:
        return BioBertConfig(**sizes, **own)
    except (ValueError, TypeError) as error:
        raise ValueError(f"config.json: {error}") from error


def config_to_theirs(
    config: BioBertConfig, *, objective: str = "next_cell", pad_token_id: int | None = None
) -> dict[str, Any]:
    """What `config.json` holds for `BertForMaskedLM`; the inverse of `config_to_ours`.

    Args:
        config: Our sizes.
        objective: What the weights were trained to do; it says whether token type 1 means a next
            cell.
        pad_token_id: The id of `[PAD]`.
    """
    return {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "pad_token_id": pad_token_id,
        **{theirs: getattr(config, ours) for theirs, ours in SIZES.items()},
        **FIXED,
        OURS: {"objective": objective, **{name: getattr(config, name) for name in OWN_SIZES}},
    }


def state_to_ours(state: Mapping[str, Tensor], num_heads: int) -> dict[str, Tensor]:
    """The tensors of a checkpoint under our names.

    Args:
        state: As read from the file, with or without the prefix `bert.`, in the layout of Hugging
            Face or of Transformer Engine.
        num_heads: Attention heads, by which fused projections are cut.

    Raises:
        ValueError: It holds a tensor of no Geneformer, or ties what is not equal.
    """
    named = {_with_prefix(name): tensor for name, tensor in state.items()}
    if OWN_BIAS in named:
        named["cls.predictions.bias"] = named.pop(OWN_BIAS)
        named.pop("cls.predictions.decoder.bias", None)
    ours: dict[str, Tensor] = {}
    unknown, tied = [], []
    for name, tensor in named.items():
        pattern, layer = _without_layer(name)
        if pattern in FUSED:
            for part, cut in zip(("query", "key", "value"), unfuse(tensor, num_heads), strict=True):
                ours[FUSED[pattern].format(part).replace("*", layer)] = cut
        elif pattern in TIED:
            tied.append((name, TIED[pattern], tensor))
        elif target := (HUGGING_FACE | TRANSFORMER_ENGINE | OWN).get(pattern):
            ours[target.replace("*", layer)] = tensor
        elif not any(part in name for part in WITHOUT_USE):
            unknown.append(name)
    if unknown:
        raise ValueError(
            f"this is a checkpoint of another architecture: {len(unknown)} of its tensors belong "
            f"to no Geneformer ({some_names(unknown)})"
        )
    for name, target, tensor in tied:
        if not torch.equal(ours.setdefault(target, tensor), tensor):
            raise ValueError(
                f"{name} differs from {target}; Geneformer ties the two, and so does this package"
            )
    return ours


def state_to_theirs(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `NextCellBert.state_dict()` as `BertForMaskedLM` names them, each once.

    What `BertForMaskedLM` lacks keeps a name of ours.
    """
    theirs = {ours: name for name, ours in (HUGGING_FACE | OWN).items()}
    named = {}
    for name, tensor in state.items():
        pattern, layer = _without_layer(name)
        if pattern in theirs:
            named[theirs[pattern].replace("*", layer)] = tensor
    return named


def unfuse(fused: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of a fused projection, whose first axis runs over head, part, dim."""
    if fused.shape[0] % (3 * num_heads):
        raise ValueError(
            f"a fused projection of {fused.shape[0]} rows cannot be cut into query, key and value "
            f"of {num_heads} heads; num_attention_heads in config.json is wrong"
        )
    by_part = fused.unflatten(0, (num_heads, 3, -1)).transpose(0, 1).flatten(1, 2)
    return by_part[0], by_part[1], by_part[2]


def _with_prefix(name: str) -> str:
    return f"bert.{name}" if name.startswith(("embeddings.", "encoder.", "pooler.")) else name


def _without_layer(name: str) -> tuple[str, str]:
    """The name with `*` for the number of its layer, and that number."""
    found = re.match(r"(bert\.encoder\.layer\.)(\d+)(\..*)", name)
    return (f"{found[1]}*{found[3]}", found[2]) if found else (name, "")
