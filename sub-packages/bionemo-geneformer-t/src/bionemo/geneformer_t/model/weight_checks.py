"""Whether the weights of a checkpoint can be those of a trained model, before anything is built.

A file may claim any size: settings are compared with the tensors first, and the tensors with the
numbers that the file holds for them, so that a claim costs no memory. Weights that are not finite
give answers that mean nothing, and are refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.rank_bias import knots
from bionemo.geneformer_t.model.time_gap import NUM_FEATURES
from bionemo.geneformer_t.some_names import some_names

HYPER_PARAMETERS, WEIGHTS = "hyper_parameters", "state_dict"
"""The entries of a Lightning checkpoint that hold the settings and the weights."""
NET = "net."
"""Prefix of the names of the network's tensors there."""
_SHOWN = 3
_MOST_KNOTS = 1_000_000
"""Far more than there are ranks; more would take too long to place."""
_LARGEST_SIZE = 2**24
"""Of a table, or a width: some hundred times those of any Geneformer."""
_MOST_SHARED = 2
"""How often the numbers of a file may be used: the head shares the embeddings of genes."""
_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")
_FEED_FORWARD = re.compile(_LAYER.pattern + r"intermediate\.dense\.(?:base_layer\.)?weight")
_TABLES = {
    "vocab_size": "bert.embeddings.word_embeddings.weight",
    "max_position_embeddings": "bert.embeddings.position_embeddings.weight",
    "type_vocab_size": "bert.embeddings.token_type_embeddings.weight",
}
"""Settings that are the number of rows of a tensor."""


class DamagedWeightsError(ValueError):
    """Weights that are not finite, or not those of the settings beside them."""


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Say which file damaged weights are in."""
    try:
        yield
    except DamagedWeightsError as error:
        raise DamagedWeightsError(f"{source} is damaged: {error}") from error


def check_sizes_of(checkpoint: Any) -> None:
    """Refuse a checkpoint of Lightning whose settings its tensors contradict.

    One that lacks either is left to its reader.

    Raises:
        DamagedWeightsError: Names the settings with both values.
    """
    values = checkpoint if isinstance(checkpoint, Mapping) else {}
    check_held(values)
    settings, state = values.get(HYPER_PARAMETERS), values.get(WEIGHTS)
    config = settings.get("config") if isinstance(settings, Mapping) else None
    if isinstance(config, Mapping) and isinstance(state, Mapping):
        check_sizes(BioBertConfig.from_dict(config), state, NET)


def check_sizes(config: BioBertConfig, state: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse settings that the tensors contradict.

    Args:
        config: The settings.
        state: Tensors by name.
        prefix: Of the names of `NextCellBert`.

    Raises:
        DamagedWeightsError: Names the settings with both values.
    """
    found = _sizes({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    wrong = [
        f"{name} is {getattr(config, name):,} in the settings and {found.get(name, 'nothing')} in "
        "the weights"
        for name in (*_TABLES, "hidden_size", "num_hidden_layers", "intermediate_size")
        if getattr(config, name) != found.get(name)
    ]
    held, claimed = found.get("rank_knots", 0), config.rank_knots
    if claimed > _MOST_KNOTS or (len(knots(claimed)) if claimed else 0) != held:
        wrong.append(f"rank_knots is {claimed:,} in the settings and {held} in the weights")
    if config.time_gaps != ("time_gaps" in found):
        wrong.append(
            f"time_gaps is {config.time_gaps} in the settings, and the weights have "
            f"{'a' if 'time_gaps' in found else 'no'} map of them"
        )
    if wrong:
        raise DamagedWeightsError(
            f"its weights do not match its own settings: {'; '.join(wrong)}. Copy or write it again"
        )
    check_held(state)


def check_held(checkpoint: Mapping[str, Any]) -> None:
    """Refuse tensors of many more numbers than the file contains.

    A tensor may step over the same number again and again (stride 0), and many may share theirs, so
    that a small file would fill the memory as soon as its weights are copied into a model.

    Args:
        checkpoint: Tensors by name, in dictionaries within each other.

    Raises:
        DamagedWeightsError: Says what they claim and what there is.
    """
    tensors = [tensor for _, tensor in _tensors(checkpoint)]
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if claimed > _MOST_SHARED * sum(held.values()):
        raise DamagedWeightsError(
            f"its tensors claim {claimed:,} bytes, and it holds {sum(held.values()):,} for them. "
            "Copy or write it again"
        )


def is_absurd(config: BioBertConfig, state: Mapping[str, Any]) -> bool:
    """Whether a model of these settings is too large to be described, let alone built."""
    sizes = (config.vocab_size, config.hidden_size, config.intermediate_size)
    return (
        config.num_hidden_layers > len(state)
        or max(*sizes, config.max_position_embeddings, config.type_vocab_size) > _LARGEST_SIZE
        or config.rank_knots > _MOST_KNOTS
    )


def check_finite(checkpoint: Mapping[str, Any]) -> None:
    """Refuse values that are infinite or no numbers, wherever in a checkpoint.

    Args:
        checkpoint: Tensors by name, in dictionaries within each other.

    Raises:
        DamagedWeightsError: Names the tensors, and how many of their values are not finite.
    """
    tensors = [(name, t) for name, t in _tensors(checkpoint) if t.is_floating_point()]
    wrong = [(name, tensor) for name, tensor in tensors if not _is_finite(tensor)]
    if wrong:
        counts = (
            f"{name} ({int((~tensor.isfinite()).sum()):,} of {tensor.numel():,} values)"
            for name, tensor in wrong
        )
        raise DamagedWeightsError(
            f"{len(wrong)} of its {len(tensors)} tensors hold values that are not finite: "
            f"{some_names(counts, _SHOWN)}. No answer of it would mean anything; take "
            "an earlier checkpoint of the run, or copy the file again"
        )


def _sizes(state: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that the tensors themselves have."""
    shapes = {name: tensor.shape for name, tensor in state.items() if isinstance(tensor, Tensor)}
    found = {
        size: shapes[name][0]
        for size, name in _TABLES.items()
        if name in shapes and len(shapes[name]) == 2
    }
    words = shapes.get(_TABLES["vocab_size"], ())
    if len(words) == 2:
        found["hidden_size"] = words[1]
    layers = {match[1] for name in shapes if (match := _LAYER.match(name))}
    found["num_hidden_layers"] = len(layers)
    widths = [shape[0] for name, shape in shapes.items() if _FEED_FORWARD.fullmatch(name) and shape]
    if widths:
        found["intermediate_size"] = widths[0]
    bias = shapes.get("cls.predictions.rank_bias.change", ())
    if len(bias) == 2:
        found["rank_knots"] = bias[1]
    gap_map = shapes.get("time_gap.weight", ())
    if tuple(gap_map) == (found.get("hidden_size"), NUM_FEATURES):
        found["time_gaps"] = 1
    return found


def _tensors(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Tensor) and value.layout == torch.strided and value.numel():
            yield f"{above}{name}", value
        elif isinstance(value, Mapping):
            yield from _tensors(value, f"{above}{name}.")


def _is_finite(tensor: Tensor) -> bool:
    """Whether the least and the largest value are: both are no numbers where any is none."""
    return bool(torch.stack(torch.aminmax(tensor)).isfinite().all())
