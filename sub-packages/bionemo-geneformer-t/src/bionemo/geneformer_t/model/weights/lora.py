"""LoRA (Hu et al. 2021): low-rank updates of the encoder's linear maps train, all else stays.

A checkpoint contains the pretrained weights and the updates side by side, so that a run resumes
exactly. Whoever loads it for anything else gets plain weights with the updates added in, under the
usual names: neither peft nor a word about LoRA is needed to predict, evaluate, embed or export.
"""

from collections.abc import Mapping

from torch import Tensor

from bionemo.geneformer_t.model.network import NextCellBert

SCALE = 2.0
"""Factor on an update, `alpha / rank` in the paper; the same for every rank, so that the learning
rate need not follow the rank."""
TARGETS = r"bert\.encoder\.layer\..*\.(query|key|value|dense)"
"""The linear maps that are updated: all those of the encoder's layers."""

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def add_adapters(net: NextCellBert, rank: int) -> None:
    """Put low-rank updates of zero on the encoder's linear maps, and train nothing but these.

    Raises:
        ModuleNotFoundError: peft is not installed.
        ValueError: The rank is not positive.
    """
    if rank < 1:
        raise ValueError(f"lora_rank must be at least 1; got {rank}")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "lora_rank needs peft: pip install 'bionemo-geneformer-t[lora]'"
        ) from error
    settings = LoraConfig(r=rank, lora_alpha=int(SCALE * rank), target_modules=TARGETS)
    inject_adapter_in_model(settings, net)


def has_adapters(state: Mapping[str, Tensor]) -> bool:
    """Whether weights have low-rank updates beside them."""
    return any(name.endswith(_UP) for name in state)


def merge_adapters(state: Mapping[str, Tensor], scale: float = SCALE) -> dict[str, Tensor]:
    """The weights with their updates added in, under the names they had before."""
    merged = {}
    for name, tensor in state.items():
        if name.endswith((_DOWN, _UP)):
            continue
        plain = name.replace(_BASE, ".")
        stem = plain.removesuffix(".weight")
        if name != plain and stem + _UP in state:
            merged[plain] = tensor + scale * (state[stem + _UP] @ state[stem + _DOWN])
        else:
            merged[plain] = tensor
    return merged
