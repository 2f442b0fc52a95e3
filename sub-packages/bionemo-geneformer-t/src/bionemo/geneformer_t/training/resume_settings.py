"""Settings that are changed when a run resumes: each is used from then on, or refused by name.

A checkpoint has the settings of the run that wrote it. `ON_RESUME` says for every setting of a
training run what happens to a changed value; docs/reliability.md has the same table for users.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any


class OnResume(Enum):
    """What happens to a setting that was changed."""

    USED = "used from then on"
    BETWEEN_EPOCHS = "refused inside an epoch, used from the next one on"
    REFUSED = "refused"
    CHECKED_WITH_DATA = "refused where the data differ"
    NO_EFFECT = "no effect on what is learned"


_USED = (
    "layer_lr_decay", "gene_lr_fraction", "learning_rate", "weight_decay", "warmup_steps",
    "gradient_clip_val",
    "dropout_prob", "num_epochs", "max_steps", "early_stopping_patience", "save_top_k",
    "checkpoint_every_n_steps", "checkpoint_every_minutes", "val_check_interval",
    "log_every_n_steps", "limit_val_batches", "precision", "strategy", "accelerator",
    "attention_backend", "matmul_backend", "recompute", "compile", "use_wandb", "wandb_project",
    "successor_memory", "final_evaluation", "controls",
)  # fmt: skip
_BETWEEN_EPOCHS = (
    "seed", "context_dropout", "resampling_neighbors", "next_cells_per_cell", "successor_steps",
    "time_gap_dropout", "limit_train_batches", "micro_batch_size", "max_tokens_per_batch",
    "global_batch_size", "accumulate_grad_batches", "devices", "num_nodes",
)  # fmt: skip
_REFUSED = (
    "seq_length", "mask_prob", "mask_token_prob", "random_token_prob", "only_cells_with_neighbors",
    "no_neighbor_policy", "token_selection_policy", "successor_sampling", "shuffle_successors",
    "contrastive_weight", "normalize_gene_expression", "target_sum", "hidden_size", "num_layers",
    "num_attention_heads", "intermediate_size", "position_scheme", "rank_knots", "gene_embeddings",
    "pretrained", "extend_positions", "freeze_layers", "lora_rank", "time_gap_key",
)  # fmt: skip
_CHECKED_WITH_DATA = ("data_dir", "neighbor_key", "objective")
_NO_EFFECT = (
    "output_dir", "config", "recipe", "resume_from_checkpoint", "pretrained_vocab", "dictionaries",
    "min_pretrained_coverage", "num_workers", "token_cache",
)  # fmt: skip

ON_RESUME: Mapping[str, OnResume] = {
    **dict.fromkeys(_USED, OnResume.USED),
    **dict.fromkeys(_BETWEEN_EPOCHS, OnResume.BETWEEN_EPOCHS),
    **dict.fromkeys(_REFUSED, OnResume.REFUSED),
    **dict.fromkeys(_CHECKED_WITH_DATA, OnResume.CHECKED_WITH_DATA),
    **dict.fromkeys(_NO_EFFECT, OnResume.NO_EFFECT),
}
"""Every setting of a training run."""

SIZES_OF_A_BATCH = (
    "micro_batch_size", "max_tokens_per_batch", "global_batch_size", "accumulate_grad_batches",
    "devices", "num_nodes",
)  # fmt: skip
"""Settings that together divide an epoch into batches; only the resulting batches matter."""


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], *kinds: OnResume
) -> dict[str, tuple[Any, Any]]:
    """The settings of these kinds whose values differ, with both values.

    A setting that an earlier version did not have is no change.
    """
    return {
        name: (before[name], value)
        for name, value in now.items()
        if name in before and before[name] != value and _kind(name, before[name], value) in kinds
    }


def described(found: Mapping[str, tuple[Any, Any]]) -> str:
    """Changes in words."""
    return "; ".join(f"{name} was {old!r} and is {new!r}" for name, (old, new) in found.items())


def check_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], *, where: str, batches_done: int
) -> None:
    """Refuse to resume with settings that cannot be changed at the position of the checkpoint.

    Batch sizes are compared later, when the number of processes is known.

    Args:
        before: Settings of the run that wrote the checkpoint.
        now: Those of the run that resumes from it.
        where: The checkpoint.
        batches_done: Micro-batches of the current epoch before it.

    Raises:
        ValueError: Names the settings and both values.
    """
    # those of checkpoints that do not say
    before = {"gene_lr_fraction": 1.0, "contrastive_weight": 0.0, **before}
    fixed = changes(before, now, OnResume.REFUSED)
    if fixed:
        raise ValueError(
            f"{where} cannot be resumed with these settings changed: {described(fixed)}. They "
            "decide what the model is, what it learns or what val/loss measures. Resume with the "
            "former values, or start a new run from these weights with --pretrained"
        )
    found = changes(before, now, OnResume.BETWEEN_EPOCHS)
    inside = {name: values for name, values in found.items() if name not in SIZES_OF_A_BATCH}
    if batches_done and inside:
        raise ValueError(
            f"{where} is from inside an epoch, after {batches_done} batches: {described(inside)}. "
            "Cells of this epoch would be used twice or never. Resume with the former values; a "
            "checkpoint from the end of an epoch allows this change"
        )


def _kind(name: str, before: Any, now: Any) -> OnResume:
    # the optimizer keeps its state by groups, which differ
    if name == "layer_lr_decay" and (before is None) != (now is None):
        return OnResume.REFUSED
    if name == "gene_lr_fraction" and (before == 1) != (now == 1):
        return OnResume.REFUSED
    return ON_RESUME[name]
