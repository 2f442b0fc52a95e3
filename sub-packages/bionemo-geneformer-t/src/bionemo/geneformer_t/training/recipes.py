"""Recipes: sets of training settings that go together, by name.

A recipe is what `train --recipe NAME` starts from; settings that are given beside it win, and those
that it leaves at None keep the defaults of the specification. docs/recipes.md says why `small` is
what it is and what it was measured to do, and docs/log.md holds the trials; the other two have not
been measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bionemo.geneformer_t.config import GeneEmbeddings, PositionScheme


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings that go together; the fields are those of `TrainSettings`."""

    seq_length: int | None = None
    """Tokens for a pair of cells."""
    mask_prob: float
    """Share of the next cell's genes that are scored; none of them sees another's answer."""
    mask_token_prob: float = 1.0
    """All scored genes are shown as [MASK], as in prediction."""
    random_token_prob: float = 0.0
    """None is shown as another gene."""
    context_dropout: float
    """Largest share of the current cell's genes to leave out."""
    next_cells_per_cell: int = 1
    """Successors per current cell and step."""
    hidden_size: int | None = None
    """Width of a token's representation; None where pretrained weights decide."""
    num_layers: int | None = None
    """Transformer layers."""
    num_attention_heads: int | None = None
    """Attention heads."""
    intermediate_size: int | None = None
    """Width of the feed-forward layer."""
    position_scheme: PositionScheme = "restarted"
    """A rank has the same position in both cells."""
    rank_knots: int = 24
    """Ranks at which the head has a bias of its own, from the training cells' frequencies."""
    gene_embeddings: GeneEmbeddings | None = None
    """Where embeddings of genes start."""
    successor_memory: bool
    """Mix the network's answer with the successors of similar training cells."""
    micro_batch_size: int | None = None
    """Current cells per process and forward pass."""
    max_tokens_per_batch: int | None = None
    """Instead, the most tokens."""
    learning_rate: float
    """Peak learning rate."""
    layer_lr_decay: float | None = None
    """Factor on the learning rate from each layer to the one below it."""
    weight_decay: float
    """Weight decay of matrices."""
    num_epochs: int
    """Passes over the training cells at most."""
    max_steps: int | None = None
    """Optimizer steps at most."""
    early_stopping_patience: int | None = None
    """Validations without a better loss before the run ends."""

    def settings(self) -> dict[str, Any]:
        """The settings that the recipe sets."""
        return {name: value for name, value in asdict(self).items() if value is not None}


SMALL = Recipe(
    seq_length=768,
    mask_prob=0.25,
    context_dropout=0.6,
    hidden_size=128,
    num_layers=2,
    num_attention_heads=4,
    intermediate_size=256,
    gene_embeddings="expression",
    successor_memory=True,
    micro_batch_size=16,
    learning_rate=1e-3,
    weight_decay=0.05,
    num_epochs=1000,
    max_steps=200,
)
"""From scratch on hundreds to some thousands of cells: minutes on two cores."""

FINETUNE = Recipe(
    mask_prob=0.25,
    context_dropout=0.3,
    successor_memory=True,
    learning_rate=1e-4,
    layer_lr_decay=0.9,
    weight_decay=0.01,
    num_epochs=10,
    early_stopping_patience=3,
)
"""From pretrained weights, whose sizes it takes."""

LARGE = Recipe(
    seq_length=2048,
    mask_prob=0.25,
    context_dropout=0.3,
    next_cells_per_cell=4,
    hidden_size=256,
    num_layers=6,
    num_attention_heads=4,
    intermediate_size=512,
    gene_embeddings="expression",
    successor_memory=False,
    max_tokens_per_batch=65_536,
    learning_rate=5e-4,
    weight_decay=0.01,
    num_epochs=10,
    early_stopping_patience=3,
)
"""From scratch on hundreds of thousands of cells and more, on a GPU."""

SIZES = ("hidden_size", "num_layers", "num_attention_heads", "intermediate_size")
"""What pretrained weights bring."""

RECIPES: Mapping[str, Recipe] = {"small": SMALL, "finetune": FINETUNE, "large": LARGE}
"""Name -> settings."""


def recipe_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe that is named among given settings sets.

    Raises:
        ValueError: No recipe has this name, or it starts from pretrained weights and there are
            none.
    """
    name = given.get("recipe")
    if name is None:
        return {}
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}; got {name!r}")
    if name == "finetune" and given.get("pretrained") is None:
        raise ValueError(
            "recipe 'finetune' starts from pretrained weights; give pretrained, or take the recipe "
            "'small' or 'large', which start from the training cells alone"
        )
    settings = RECIPES[name].settings()
    if given.get("pretrained") is not None:
        for brought in (*SIZES, "gene_embeddings"):
            settings.pop(brought, None)
    if given.get("objective") == "mlm":  # single cells: no current cell, no successors
        for needless in ("context_dropout", "successor_memory"):
            settings.pop(needless)
    if {"micro_batch_size", "global_batch_size"} & given.keys():
        settings.pop("max_tokens_per_batch", None)
    if given.get("max_tokens_per_batch") is not None:
        settings.pop("micro_batch_size", None)
    return settings
