"""The settings of a training run, and the settings of model and data that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bionemo.geneformer_t.config import (
    MICRO_BATCH_SIZE,
    BioBertConfig,
    GeneEmbeddings,
    MatmulBackend,
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
RecipeName = Literal["auto", "small", "finetune", "large"]


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
    """YAML file with settings of this command. Values given on the command line or in the call
    override those in the file."""
    recipe: RecipeName | None = None
    """Set of settings that go together: `small` (from scratch, up to some thousand cells),
    `finetune` (from pretrained weights), `large` (from scratch, on a GPU), or `auto`, which chooses
    by the training cells and logs why. Values given in the call or in config override those of the
    recipe."""

    pretrained: str | None = None
    """Weights to start from: a folder with config.json and model.safetensors, a checkpoint of a
    training run, or OWNER/NAME[/FOLDER] on the Hugging Face hub. The model gets the sizes of these
    weights."""
    pretrained_vocab: str | None = None
    """Token dictionary of the pretrained weights, if their folder does not contain it: a file,
    geneformer-gc30M (for V1) or geneformer-gc95M (for V2)."""
    dictionaries: Path | None = None
    """Folder with Geneformer's dictionary files, needed if pretrained_vocab is a name. By default,
    the folder in the environment variable GENEFORMER_T_DICTIONARIES, or that of an installed
    geneformer package."""
    extend_positions: bool = False
    """Add positions if seq_length needs more than the pretrained weights have."""
    min_pretrained_coverage: float = 0.5
    """Smallest fraction of the counts that must belong to genes with pretrained embeddings."""

    freeze_layers: int = 0
    """Number of layers to freeze, counted from the first; needs pretrained weights."""
    layer_lr_decay: float | None = None
    """Learning rate of each layer, as a fraction of that of the layer above it, for example 0.9."""
    gene_lr_fraction: float = 1.0
    """Learning rate of gene embeddings and all biases of genes, as a fraction of learning_rate.
    Each of these weights belongs to one gene and sees little data, so few cells are fitted better
    with less than 1."""
    lora_rank: int | None = None
    """Train only low-rank updates (LoRA) of the encoder's linear maps, with this rank; needs
    pretrained weights and the package peft."""

    hidden_size: int = 512
    """Width of a token's representation."""
    num_layers: int = 8
    """Number of transformer layers."""
    num_attention_heads: int = 8
    """Number of attention heads; hidden_size must be a multiple of it."""
    intermediate_size: int = 2048
    """Width of the feed-forward layer."""
    dropout_prob: float = 0.1
    """Dropout probability, for embeddings, layer outputs and attention."""
    position_scheme: PositionScheme = "continued"
    """How positions are numbered: through both cells of a pair (`continued`), or from the start
    again in the next cell (`restarted`), so that a rank has the same position in both cells."""
    rank_knots: int = 0
    """Number of ranks at which each gene has its own bias in the vocabulary head, with
    interpolation in between. The biases start at the gene frequencies at each rank in the training
    cells. With 0, a gene has the same bias at all ranks."""
    gene_embeddings: GeneEmbeddings = "random"
    """How a network without pretrained weights starts: with random weights (`random`), or with what
    the training cells say of genes and ranks (`expression`; see docs/recipes.md)."""
    successor_memory: bool = False
    """After training, add a memory of training cells to the best checkpoint, as in kNN-LM:
    predictions are then mixed with the successors of similar training cells. The mixture is fitted
    on the validation cells."""
    attention_backend: str = "auto"
    """Implementation of attention (see docs/performance.md); all give the same results."""
    matmul_backend: MatmulBackend = "auto"
    """Library that computes float32 matrix products on a CPU: PyTorch's own choice (`default`),
    oneDNN (`onednn`), or the one that suits the processor (`auto`; see docs/performance.md)."""
    recompute: Recompute = "nothing"
    """What the backward pass recomputes to save memory: nothing (`nothing`), the feed-forward
    networks (`feed_forward`) or whole layers (`layers`)."""
    compile: bool = False
    """Compile the layers with torch.compile when training starts."""

    micro_batch_size: int = MICRO_BATCH_SIZE
    """Number of current cells per process and forward pass."""
    max_tokens_per_batch: int | None = None
    """Alternative to micro_batch_size: largest number of tokens per process and forward pass. The
    tokens of the current cells, their special tokens and the scored genes of the next cells are
    counted."""
    global_batch_size: int | None = None
    """Number of current cells per optimizer step over all processes, reached by gradient
    accumulation. By default, one micro-batch per process."""
    accumulate_grad_batches: int = 1
    """Number of micro-batches of each process per optimizer step; an alternative to
    global_batch_size."""
    num_epochs: int = 10
    """Number of passes over the training cells."""
    max_steps: int = -1
    """Largest number of optimizer steps; -1 for no limit."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors, such as biases and LayerNorm weights, have none."""
    warmup_steps: int | None = None
    """Number of steps in which the learning rate rises to its peak, before it falls to zero along a
    cosine. By default, a tenth of the run, but at most 2,000."""
    gradient_clip_val: float | None = 1.0
    """Largest norm of the gradient; gradients with a larger norm are scaled down to it."""
    early_stopping_patience: int | None = None
    """Stop the run after this number of validations without a lower val/loss."""
    save_top_k: int = 1
    """Number of best checkpoints to keep, in addition to the last."""
    checkpoint_every_n_steps: int | None = None
    """Number of optimizer steps between checkpoints, in addition to the checkpoints after each
    validation and epoch."""
    checkpoint_every_minutes: float | None = 30.0
    """Number of minutes between checkpoints, in addition to the other checkpoints."""
    val_check_interval: int | None = None
    """Number of micro-batches between validations; by default, validation is done once per
    epoch."""
    log_every_n_steps: int = 10
    """Number of optimizer steps between rows of metrics.csv."""
    limit_train_batches: int | float | None = None
    """Number of micro-batches (int) or fraction of them (float) to train on in each epoch."""
    limit_val_batches: int | float | None = None
    """Number of micro-batches (int) or fraction of them (float) to use in each validation."""

    final_evaluation: bool = True
    """At the end, score the best checkpoint and baselines on a few hundred cells of the test split,
    or of val if there is no test split."""

    controls: bool = False
    """Also train a control: the same settings on shuffled successors, in OUTPUT_DIR/shuffled, after
    the model. The scores then say what the graph taught; training takes twice as long."""

    accelerator: str = "auto"
    """Type of hardware: cpu, gpu, mps or auto."""
    devices: int | str = 1
    """Number of processes on each node, or auto."""
    num_nodes: int = 1
    """Number of nodes (computers) to train on."""
    strategy: str = "auto"
    """Lightning's strategy, for example ddp."""
    precision: str = "32-true"
    """Lightning's precision, for example bf16-mixed or 16-mixed."""
    num_workers: int = 2
    """Number of worker processes that prepare batches for each training process."""
    token_cache: bool = True
    """Encode all cells once, and cache their tokens next to the converted data."""

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
        self._check_controls()
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

    def _check_controls(self) -> None:
        if self.controls and self.objective == "mlm":
            raise ValueError(
                "controls trains on shuffled successors, and objective 'mlm' has none; leave one "
                "out"
            )
        if self.controls and self.shuffle_successors:
            raise ValueError(
                "controls trains a second model on shuffled successors, and with "
                "shuffle_successors this one is such a model already; leave one out"
            )

    def _check_start(self) -> None:
        if self.gene_embeddings != "random" and self.pretrained is not None:
            raise ValueError(
                f"gene_embeddings is {self.gene_embeddings!r}, but pretrained weights have their "
                "own; give one of the two"
            )
        require_fraction(self, "min_pretrained_coverage")
        require_at_least(self, 0, "freeze_layers")
        require_fraction(self, "layer_lr_decay", "gene_lr_fraction", zero=False)
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
            time_gaps=self.time_gap_key is not None,
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
