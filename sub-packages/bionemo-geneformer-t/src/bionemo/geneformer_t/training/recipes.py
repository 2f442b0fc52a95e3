"""Recipes: sets of training settings that go together, by name.

Settings that are given together with `--recipe NAME` override the recipe's, and all others have the
defaults of the specification. docs/recipes.md explains `small` and has its measured scores,
docs/log.md the trials; the other two have not been measured.
"""

import logging
from collections.abc import Mapping
from typing import Any

from bionemo.geneformer_t.training.recipe_choice import choose_recipe

logger = logging.getLogger(__name__)

_ALL: Mapping[str, Any] = {
    "mask_prob": 0.25,
    "mask_token_prob": 1.0,  # scored genes are always shown as [MASK], as in prediction
    "random_token_prob": 0.0,
    "position_scheme": "restarted",
    "rank_knots": 24,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    # from scratch on hundreds to some thousands of cells: minutes on two cores
    "small": {
        **_ALL,
        "seq_length": 768,
        "context_dropout": 0.3,
        "hidden_size": 128,
        "num_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "gene_embeddings": "expression",
        "successor_memory": True,
        "micro_batch_size": 16,
        "learning_rate": 1e-3,
        "gene_lr_fraction": 0.1,
        "weight_decay": 0.05,
        "num_epochs": 5,
        "max_steps": 200,
    },
    # from pretrained weights, with their sizes
    "finetune": {
        **_ALL,
        "context_dropout": 0.3,
        "successor_memory": True,
        "learning_rate": 1e-4,
        "layer_lr_decay": 0.9,
        "weight_decay": 0.01,
        "num_epochs": 10,
        "early_stopping_patience": 3,
    },
    # from scratch on hundreds of thousands of cells and more, on a GPU
    "large": {
        **_ALL,
        "seq_length": 2048,
        "context_dropout": 0.3,
        "next_cells_per_cell": 4,
        "hidden_size": 256,
        "num_layers": 6,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "gene_embeddings": "expression",
        "successor_memory": False,
        "max_tokens_per_batch": 65_536,
        "learning_rate": 5e-4,
        "weight_decay": 0.01,
        "num_epochs": 10,
        "early_stopping_patience": 3,
    },
}
"""Name -> settings of `TrainSettings`."""

AUTO = "auto"
"""The recipe that chooses one of the others, and further settings, by the training cells."""

_FROM_WEIGHTS = (
    "hidden_size", "num_layers", "num_attention_heads", "intermediate_size", "gene_embeddings",
    "gene_lr_fraction",
)  # fmt: skip
_FOR_PAIRS = ("context_dropout", "successor_memory")


def recipe_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the recipe that is named among the given ones, as far as they apply.

    Raises:
        ValueError: No recipe has this name, or it starts from pretrained weights and there are
            none.
    """
    name = given.get("recipe")
    chosen: Mapping[str, Any] = {}
    if name is None:
        return {}
    if not isinstance(name, str) or name not in {AUTO, *RECIPES}:
        raise ValueError(f"recipe must be one of {', '.join([AUTO, *RECIPES])}; got {name!r}")
    if name == AUTO:
        name, chosen, reasons = choose_recipe(given, RECIPES["small"])
        logger.info("recipe auto takes %r: %s", name, "; ".join(reasons))
    if name == "finetune" and given.get("pretrained") is None:
        raise ValueError(
            "recipe 'finetune' starts from pretrained weights; give pretrained, or take the recipe "
            "'small' or 'large', which start from the training cells alone"
        )
    left_out: set[str] = set()
    if given.get("pretrained") is not None:
        left_out.update(_FROM_WEIGHTS)
    if given.get("objective") == "mlm":  # single cells have no current cell and no successors
        left_out.update(_FOR_PAIRS)
    if {"micro_batch_size", "global_batch_size"} & given.keys():
        left_out.add("max_tokens_per_batch")
    if given.get("max_tokens_per_batch") is not None:
        left_out.add("micro_batch_size")
    settings = {**RECIPES[name], **chosen}
    return {key: value for key, value in settings.items() if key not in left_out}
