"""The settings of a training run, and the settings of model and data that follow from them."""

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
from bionemo.geneformer_t.setting_values import (
    require_at_least,
    require_fraction,
    require_positive,
)

LAST = "last"
RecipeName = Literal["small", "finetune", "large"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings(PairSettings):
    """A training run: its data, model, duration and hardware.

    Raises:
        ValueError: A value is out of range.
    """

    data_dir: Path
    """Folder with train/ and, optionally, val/ and test/."""
    output_dir: Path
    """Folder for checkpoints, metrics, config.yaml and the loss curve."""
    config: Path | None = None
    """A YAML file of these settings; values given on the command line or in the call override
    it."""
    recipe: RecipeName | None = None
    """A set of settings that go together: `small` (from scratch, up to some thousands of cells),
    `finetune` (from pretrained weights) or `large` (from scratch, on a GPU). Values given in the
    call or in config override it."""

    pretrained: str | None = None
    """Weights to start from: a folder with config.json and model.safetensors, a checkpoint of a
    training run, or OWNER/NAME[/FOLDER] on the Hugging Face hub. They set the sizes."""
    pretrained_vocab: str | None = None
    """The token dictionary of these weights, if their folder has none: a file, or geneformer-gc30M
    (V1) or geneformer-gc95M (V2)."""
    dictionaries: Path | None = None
    """Folder with Geneformer's dictionary files, if pretrained_vocab is a name; by default
    GENEFORMER_T_DICTIONARIES, or an installed geneformer package."""
    extend_positions: bool = False
    """Append positions if seq_length needs more than the pretrained weights have."""
    min_pretrained_coverage: float = 0.5
    """Smallest fraction of the counts that must be on pretrained genes."""

    freeze_layers: int = 0
    """Number of layers, from the first, whose pretrained weights are frozen."""
    layer_lr_decay: float | None = None
    """Factor of the learning rate from each layer to the one below, for example 0.9."""
    lora_rank: int | None = None
    """Train only low-rank updates of the encoder's linear maps (LoRA), of this rank; needs peft."""

    hidden_size: int = 512
    """Width of a token's representation."""
    num_layers: int = 8
    """Transformer layers."""
    num_attention_heads: int = 8
    """Attention heads; hidden_size must be a multiple of their number."""
    intermediate_size: int = 2048
    """Width of the feed-forward layer."""
    dropout_prob: float = 0.1
    """Dropout on embeddings, layer outputs and attention."""
    position_scheme: PositionScheme = "continued"
    """`continued`: positions are numbered through the pair; `restarted`: a rank has the same
    position in both cells."""
    rank_knots: int = 0
    """Number of ranks at which the vocabulary head has a separate bias, interpolated in between. It
    starts at the frequencies of genes at each rank of the training cells. 0 for one bias at all
    ranks."""
    gene_embeddings: GeneEmbeddings = "random"
    """Initial embeddings of genes without pretrained weights: `random`, or the principal axes of
    expression in the training cells (`expression`)."""
    successor_memory: bool = False
    """After training, add a memory of training cells to the best checkpoint, as in kNN-LM: its
    predictions are mixed with the successors of similar training cells. The mixture is fitted on
    the validation cells."""
    attention_backend: str = "auto"
    """Implementation of attention (docs/performance.md); all give the same results."""
    recompute: Recompute = "nothing"
    """What the backward pass recomputes to save memory: `nothing`, `feed_forward` networks or whole
    `layers`."""
    compile: bool = False
    """Compile the layers with torch.compile when training starts."""

    micro_batch_size: int = MICRO_BATCH_SIZE
    """Current cells per process and forward pass."""
    max_tokens_per_batch: int | None = None
    """Alternatively, tokens per process and forward pass, at most: those of the current cells,
    their special tokens, and the scored genes of the next cells."""
    global_batch_size: int | None = None
    """Current cells per optimizer step over all processes, by gradient accumulation. By default one
    micro-batch per process."""
    accumulate_grad_batches: int = 1
    """Micro-batches of each process per optimizer step; an alternative to global_batch_size."""
    num_epochs: int = 10
    """Passes over the training cells."""
    max_steps: int = -1
    """Optimizer steps, at most; -1 for no limit."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Weight decay of matrices."""
    warmup_steps: int | None = None
    """Steps until the peak learning rate, which then follows a cosine to zero; by default a tenth
    of the run, at most 2,000."""
    gradient_clip_val: float | None = 1.0
    """Largest norm of the gradient, which is clipped to it."""
    early_stopping_patience: int | None = None
    """Number of validations without a lower val/loss after which the run stops."""
    save_top_k: int = 1
    """Number of best checkpoints to keep, in addition to the last."""
    checkpoint_every_n_steps: int | None = None
    """Optimizer steps between checkpoints, in addition to those after each validation and epoch."""
    checkpoint_every_minutes: float | None = 30.0
    """Minutes between checkpoints, in addition to the others."""
    val_check_interval: int | None = None
    """Micro-batches between validations; by default once per epoch."""
    log_every_n_steps: int = 10
    """Optimizer steps between rows of metrics.csv."""
    limit_train_batches: int | float | None = None
    """Micro-batches, or fraction, of each epoch to train on."""
    limit_val_batches: int | float | None = None
    """Micro-batches, or fraction, of each validation to use."""

    final_evaluation: bool = True
    """At the end, score the best checkpoint and baselines on some hundred cells of test, or of val
    if there is no test."""

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
    """Worker processes that prepare batches, for each training process."""
    token_cache: bool = True
    """Encode all cells once, and cache their tokens beside the converted data."""

    use_wandb: bool = False
    """Also log to Weights & Biases."""
    wandb_project: str = "temporal-geneformer"
    """Project in Weights & Biases."""
    resume_from_checkpoint: str | None = None
    """Continue the run in output_dir from its newest checkpoint (`last`), or from the checkpoint at
    this path. With `last`, a run without a checkpoint starts from the beginning, so the same
    command can be repeated until the run is done."""

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the recipe, if one is given."""
        from bionemo.geneformer_t.training.recipes import recipe_settings

        return recipe_settings(given)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.successor_memory and self.objective == "mlm":
            raise ValueError(
                "successor_memory uses successors, and objective 'mlm' has none; leave one out"
            )
        self._check_start()
        check_batch_size(self.micro_batch_size, self.max_tokens_per_batch)
        require_at_least(
            self, 1, "accumulate_grad_batches", "num_epochs", "num_nodes", "log_every_n_steps",
            "global_batch_size", "early_stopping_patience",
        )  # fmt: skip
        require_positive(
            self, "checkpoint_every_n_steps", "checkpoint_every_minutes", "learning_rate"
        )
        self._check_accumulation()
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"max_steps must be positive, or -1 for all; got {self.max_steps}")

    def _check_start(self) -> None:
        if self.gene_embeddings != "random" and self.pretrained is not None:
            raise ValueError(
                f"gene_embeddings is {self.gene_embeddings!r}, but pretrained weights have their "
                "own; give one of the two"
            )
        require_fraction(self, "min_pretrained_coverage")
        require_at_least(self, 0, "freeze_layers")
        require_fraction(self, "layer_lr_decay", zero=False)
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
        """Every setting needed to repeat the run, as plain values."""
        return {
            field.name: str(value) if isinstance(value, Path) else value
            for field in fields(self)
            if field.name not in {"config", "resume_from_checkpoint"}
            for value in [getattr(self, field.name)]
        }
