"""What of a model trains, and how fast: frozen layers and learning rates that fall with depth."""

import re
from typing import Any

from torch import Tensor, nn

from bionemo.geneformer_t.model.network import NextCellBert

_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")


def freeze_layers(net: NextCellBert, number: int) -> None:
    """Let the first layers keep their weights; embeddings, which are also the head, still train.

    Raises:
        ValueError: There are not so many layers.
    """
    layers = net.bert.layers
    if not 0 <= number <= len(layers):
        raise ValueError(
            f"freeze_layers must be between 0 and {len(layers)}, the layers of this model; got "
            f"{number}"
        )
    for layer in layers[:number]:
        layer.requires_grad_(requires_grad=False)


def parameter_groups(
    net: NextCellBert,
    learning_rate: float,
    weight_decay: float,
    layer_lr_decay: float | None = None,
    gene_lr_fraction: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups for the optimizer: what trains, matrices with weight decay, all else without.

    With `layer_lr_decay` each depth has its own learning rate: the head the full one, each layer
    below it that of the layer above times the decay, the embeddings (which the head shares) the
    lowest (Howard and Ruder 2018). With `gene_lr_fraction` what belongs to a single gene, its
    embedding and its biases, has that fraction of the learning rate of its depth. Rates descend
    with depth, so that the first group has the full rate.
    """
    top = len(net.bert.layers) + 1
    of_genes = {id(parameter) for parameter in gene_parameters(net)}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {
        (depth, is_of_genes): [] for depth in range(top, -1, -1) for is_of_genes in (False, True)
    }
    for name, parameter in net.named_parameters():
        depth = top if layer_lr_decay is None else depth_of(name, top)
        is_of_genes = gene_lr_fraction != 1 and id(parameter) in of_genes
        groups[depth, is_of_genes].append(parameter)
    return [
        group
        for (depth, is_of_genes), parameters in groups.items()
        for group in _decayed_and_spared(
            parameters,
            learning_rate
            * (layer_lr_decay or 1.0) ** (top - depth)
            * (gene_lr_fraction if is_of_genes else 1.0),
            weight_decay,
        )
    ]


def gene_parameters(net: NextCellBert) -> list[Tensor]:
    """The weights with a row for each gene: embeddings, which are also the head, and its biases."""
    head = net.cls.predictions
    found = [net.bert.embeddings.word_embeddings.weight, head.decoder.bias]
    return found if head.rank_bias is None else [*found, head.rank_bias.change]


def depth_of(name: str, top: int) -> int:
    """0 for the embeddings, 1 for the first layer and so on, `top` for the head."""
    found = _LAYER.match(name)
    if found:
        return int(found[1]) + 1
    return 0 if name.startswith("bert.embeddings.") else top


def num_trainable(net: nn.Module) -> tuple[int, int]:
    """How many weights train, and how many there are."""
    parameters = list(net.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def _decayed_and_spared(
    parameters: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Matrices, which decay, and biases and LayerNorms, which do not; frozen ones in neither."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [{**group, "lr": learning_rate} for group in groups if group["params"]]
