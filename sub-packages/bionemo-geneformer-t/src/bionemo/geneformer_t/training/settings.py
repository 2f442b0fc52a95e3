"""The settings of a training run, and how they become the parts' own settings."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bionemo.geneformer_t.config import (
    MICRO_BATCH_SIZE,
    BioBertConfig,
    GeneEmbeddings,
    PairSettings,
    PositionScheme,
    Recompute,
    check_batch_size,
)

LAST = "last"
RecipeName = Literal["small", "finetune", "large"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings(PairSettings):
    """A training run: where, what model, how long and on what.

    Raises:
        ValueError: A value is out of range.
    """

    data_dir: Path
    """Folder with train/, and val/ and test/ where there are any."""
    output_dir: Path
    """Folder for checkpoints, metrics, config.yaml and the loss curve."""
    config: Path | None = None
    """A YAML file of these same settings; values given beside it win."""
    recipe: RecipeName | None = None
    """Start from a set of settings that go together: `small` (from scratch on up to some thousands
    of cells), `finetune` (from pretrained weights) or `large` (from scratch on a GPU); values given
    beside it, or in config, win."""

    pretrained: str | None = None
    """Start from these weights: a folder with config.json and model.safetensors, a checkpoint of a
    training run, or OWNER/NAME[/FOLDER] on the Hugging Face hub. Sizes come from there."""
    pretrained_vocab: str | None = None
    """The token dictionary of these weights, where none lies beside them: a file, or
    geneformer-gc30M (V1) or geneformer-gc95M (V2)."""
    dictionaries: Path | None = None
    """Folder with Geneformer's dictionary files, for a pretrained_vocab by name; by default
    GENEFORMER_T_DICTIONARIES, else an installed geneformer package."""
    extend_positions: bool = False
    """Append positions where seq_length needs more than the pretrained weights have."""
    min_pretrained_coverage: float = 0.5
    """Refuse data with less than this share of its counts on genes that were pretrained."""

    freeze_layers: int = 0
    """Keep the pretrained weights of this many layers, from the first on."""
    layer_lr_decay: float | None = None
    """Factor on the learning rate from each layer to the one below it, for example 0.9."""
    lora_rank: int | None = None
    """Train low-rank updates of the encoder's linear maps (LoRA) of this rank and nothing else;
    needs peft."""

    hidden_size: int = 512
    """Width of a token's representation."""
    num_layers: int = 8
    """Transformer layers."""
    num_attention_heads: int = 8
    """Attention heads; they divide hidden_size."""
    intermediate_size: int = 2048
    """Width of the feed-forward layer."""
    dropout_prob: float = 0.1
    """Dropout on embeddings, layer outputs and attention."""
    position_scheme: PositionScheme = "continued"
    """`continued`: positions count through the pair; `restarted`: they are ranks in both cells."""
    rank_knots: int = 0
    """Give the vocabulary head a bias of its own at so many ranks, interpolated between them, which
    starts at the frequencies of genes at each rank of the training cells; 0 for one at all ranks.
    """
    gene_embeddings: GeneEmbeddings = "random"
    """Where embeddings of genes start without pretrained weights: `random`, or the principal axes
    of the training cells' expression (`expression`)."""
    successor_memory: bool = False
    """After training, give the best checkpoint a memory: its answers are then mixed with the
    successors of the training cells that it finds similar, as the validation cells ask for."""
    attention_backend: str = "auto"
    """How attention is computed; every backend gives the same numbers."""
    recompute: Recompute = "nothing"
    """What the backward pass computes again instead of keeping it in memory: `nothing`,
    `feed_forward` networks or whole `layers`."""
    compile: bool = False
    """Compile the layers with torch.compile when training starts."""

    micro_batch_size: int = MICRO_BATCH_SIZE
    """Current cells per process and forward pass."""
    max_tokens_per_batch: int | None = None
    """Instead, the most tokens per process and forward pass: those of the current cells, their
    special tokens, and the scored genes of the next cells."""
    global_batch_size: int | None = None
    """Current cells per optimizer step over all processes; sets gradient accumulation. By default
    one micro-batch per process."""
    accumulate_grad_batches: int = 1
    """Micro-batches of each process per optimizer step, where global_batch_size does not say it."""
    num_epochs: int = 10
    """Passes over the training cells."""
    max_steps: int = -1
    """Stop after this many optimizer steps, whatever num_epochs says; -1 for no limit."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Weight decay of matrices."""
    warmup_steps: int | None = None
    """Steps to the peak learning rate, before a cosine to zero; by default a tenth of the run, at
    most 2,000."""
    gradient_clip_val: float | None = 1.0
    """Largest norm of the gradient."""
    early_stopping_patience: int | None = None
    """Stop after this many validations without a better val/loss."""
    save_top_k: int = 1
    """Best checkpoints to keep, beside the last."""
    checkpoint_every_n_steps: int | None = None
    """Optimizer steps between checkpoints, beside those after each validation and epoch."""
    checkpoint_every_minutes: float | None = 30.0
    """Minutes between checkpoints, beside the others."""
    val_check_interval: int | None = None
    """Micro-batches between validations; by default once per epoch."""
    log_every_n_steps: int = 10
    """Optimizer steps between rows of metrics.csv."""
    limit_train_batches: int | float | None = None
    """Train on this many micro-batches (or this share) of each epoch."""
    limit_val_batches: int | float | None = None
    """Validate on this many micro-batches, or this share of them."""

    final_evaluation: bool = True
    """Score the best checkpoint at the end, beside baselines: on some hundred cells of test, or
    of val where there is no test."""

    accelerator: str = "auto"
    """cpu, gpu, mps or auto."""
    devices: int | str = 1
    """Processes on each node, or auto."""
    num_nodes: int = 1
    """Machines."""
    strategy: str = "auto"
    """Lightning's strategy, for example ddp."""
    precision: str = "32-true"
    """Lightning's precision, for example bf16-mixed or 16-mixed."""
    num_workers: int = 2
    """Processes that prepare batches, for each training process."""
    token_cache: bool = True
    """Encode all cells once, and keep that beside the converted data."""

    use_wandb: bool = False
    """Also log to Weights & Biases."""
    wandb_project: str = "temporal-geneformer"
    """Its project."""
    resume_from_checkpoint: str | None = None
    """Continue the run in output_dir from `last`, or from the checkpoint at this path. `last`
    starts afresh where there is no checkpoint yet, so that one command can be repeated until the
    run is done."""

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that the recipe among the given ones brings."""
        from bionemo.geneformer_t.training.recipes import recipe_settings

        return recipe_settings(given)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.successor_memory and self.objective == "mlm":
            raise ValueError(
                "successor_memory remembers successors, and objective 'mlm' has none; leave one out"
            )
        self._check_start()
        check_batch_size(self.micro_batch_size, self.max_tokens_per_batch)
        for name in (
            "accumulate_grad_batches", "num_epochs", "num_nodes", "log_every_n_steps",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("checkpoint_every_n_steps", "checkpoint_every_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive; got {value}")
        if self.global_batch_size is not None and self.global_batch_size < 1:
            raise ValueError(f"global_batch_size must be at least 1; got {self.global_batch_size}")
        self._check_accumulation()
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"max_steps must be positive, or -1 for all; got {self.max_steps}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive; got {self.learning_rate}")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(
                f"early_stopping_patience must be at least 1; got {self.early_stopping_patience}"
            )

    def _check_start(self) -> None:
        if self.gene_embeddings != "random" and self.pretrained is not None:
            raise ValueError(
                f"gene_embeddings is {self.gene_embeddings!r}, but pretrained weights bring their "
                "own; give one of the two"
            )
        if not 0 <= self.min_pretrained_coverage <= 1:
            raise ValueError(
                f"min_pretrained_coverage must lie in [0, 1]; got {self.min_pretrained_coverage}"
            )
        if self.freeze_layers < 0:
            raise ValueError(f"freeze_layers must not be negative; got {self.freeze_layers}")
        if self.layer_lr_decay is not None and not 0 < self.layer_lr_decay <= 1:
            raise ValueError(f"layer_lr_decay must lie in (0, 1]; got {self.layer_lr_decay}")
        for name in ("freeze_layers", "lora_rank"):
            if getattr(self, name) and self.pretrained is None:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but there are no pretrained weights, and "
                    "random ones must train; give pretrained, or leave it out"
                )

    def model_config(self, vocab_size: int) -> BioBertConfig:
        """The model's sizes for a vocabulary."""
        return BioBertConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.seq_length,
            hidden_dropout_prob=self.dropout_prob,
            attention_probs_dropout_prob=self.dropout_prob,
            position_scheme=self.position_scheme,
            rank_knots=self.rank_knots,
        )

    def pair_settings(self) -> PairSettings:
        """How cells become pairs, without the other settings."""
        return PairSettings(**PairSettings.to_dict(self))

    def accumulation(self, processes: int) -> int:
        """Micro-batches per optimizer step.

        Raises:
            ValueError: `global_batch_size` is not a multiple of what one pass takes.
        """
        if self.global_batch_size is None:
            return self.accumulate_grad_batches
        one_pass, wanted = self.micro_batch_size * processes, self.global_batch_size
        if wanted % one_pass:
            raise ValueError(
                f"global_batch_size must be a multiple of micro_batch_size x processes = "
                f"{self.micro_batch_size} x {processes} = {one_pass}; got {wanted}"
            )
        return wanted // one_pass

    def _check_accumulation(self) -> None:
        if self.global_batch_size is None:
            return
        if self.max_tokens_per_batch is not None:
            raise ValueError(
                "global_batch_size counts cells, and with max_tokens_per_batch their number "
                "differs from batch to batch; set accumulate_grad_batches instead"
            )
        if self.accumulate_grad_batches != 1:
            raise ValueError(
                "global_batch_size and accumulate_grad_batches both set gradient accumulation; "
                "give one of the two"
            )

    def to_plain(self) -> dict[str, Any]:
        """Every setting that repeats the run, as plain values."""
        return {
            field.name: str(value) if isinstance(value, Path) else value
            for field in fields(self)
            if field.name not in {"config", "resume_from_checkpoint"}
            for value in [getattr(self, field.name)]
        }

    def to_yaml(self) -> str:
        """What `config.yaml` holds: the same as YAML."""
        import yaml

        text: str = yaml.safe_dump(self.to_plain(), sort_keys=False)
        return text
