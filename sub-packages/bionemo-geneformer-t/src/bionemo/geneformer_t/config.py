"""Settings: the sizes of the model, and how cells become training pairs.

Each setting is defined in one field here. Signatures and the command line take their defaults from
these fields, and checkpoints and `config.yaml` contain them. Wrong values are refused when the
object is built, so the rest of the package need not check them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from bionemo.geneformer_t.setting_values import (
    Settings,
    require_at_least,
    require_fraction,
    require_positive,
)

PositionScheme = Literal["continued", "restarted"]
TokenSelectionPolicy = Literal["identity", "intersection", "union"]
NoNeighborPolicy = Literal["skip", "identity", "random"]
Objective = Literal["next_cell", "mlm"]
SuccessorSampling = Literal["weighted", "uniform"]
GeneEmbeddings = Literal["random", "expression"]
Pooling = Literal["mean", "cls"]
InferencePrecision = Literal["32-true", "bf16-mixed"]
"""What a trained model is read in; in `bf16-mixed`, matrix products are in bfloat16."""
MatmulBackend = Literal["auto", "default", "onednn"]
"""The library of float32 matrix products on a CPU: PyTorch's own choice (`default`), `onednn`, or
by the processor (`auto`); see `model/products.py`."""

MICRO_BATCH_SIZE = 8
"""Current cells per process and forward pass, by default."""
Recompute = Literal["nothing", "feed_forward", "layers"]
"""What the backward pass recomputes to save memory: nothing, feed-forward networks (up to a tenth
more time) or whole layers (up to a quarter more time, and the least memory)."""

SPECIALS_PER_PAIR = 3
"""`[CLS]` and two `[SEP]` in every pair of cells."""
SPECIALS_PER_CONTEXT = 2
"""`[CLS]` and `[SEP]` of the current cell alone."""


@dataclass(frozen=True, kw_only=True)
class BioBertConfig(Settings):
    """The sizes of a BERT over genes, with Hugging Face's names.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: A size is not positive, a probability lies outside [0, 1), the heads do not
            divide the hidden size, or a choice is unknown.
    """

    vocab_size: int = 25426
    """Rows of the embedding table; at least the vocabulary's length."""
    hidden_size: int = 512
    """Width of a token's representation."""
    num_hidden_layers: int = 8
    """Transformer layers."""
    num_attention_heads: int = 8
    """Attention heads; they divide `hidden_size`."""
    intermediate_size: int = 2048
    """Width of the feed-forward layer."""
    max_position_embeddings: int = 2048
    """Rows of the position table; the longest `seq_length` the model can take."""
    hidden_dropout_prob: float = 0.1
    """Dropout on embeddings and layer outputs."""
    attention_probs_dropout_prob: float = 0.1
    """Dropout on attention probabilities."""
    type_vocab_size: int = 2
    """Token types: 0 the context, 1 the next cell."""
    initializer_range: float = 0.02
    """Standard deviation of random initial weights."""
    layer_norm_eps: float = 1e-12
    """The epsilon of every LayerNorm."""
    position_scheme: PositionScheme = "continued"
    """`continued`: BERT's 0..L-1; `restarted`: rank r of the next cell has the position of rank r
    of the current one."""
    rank_knots: int = 0
    """Ranks at which the vocabulary head has a separate bias (`model/rank_bias.py`); 0 for one bias
    at all ranks, as in BERT."""
    time_gaps: bool = False
    """Whether the time between the two cells of a pair is an input (`model/time_gap.py`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank_knots < 0 or self.rank_knots == 1:
            raise ValueError(f"rank_knots must be 0 or at least 2; got {self.rank_knots}")
        require_positive(
            self, "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
            "intermediate_size", "max_position_embeddings", "type_vocab_size",
        )  # fmt: skip
        require_fraction(self, "hidden_dropout_prob", "attention_probs_dropout_prob", one=False)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads must divide hidden_size; got {self.num_attention_heads} "
                f"heads for a hidden size of {self.hidden_size}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BioBertConfig":
        """The inverse of `to_dict`."""
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class PairSettings(Settings):
    """How cells become masked pairs of a current and a next cell.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: A value is out of range or a choice is unknown.
    """

    objective: Objective = "next_cell"
    """What is predicted: the genes of the next cell (`next_cell`), or, as in Geneformer's
    pretraining, masked genes of a cell from its other genes (`mlm`), for which no neighbors are
    needed."""
    seq_length: int = 2048
    """Number of tokens of a pair: a current cell, a next cell and three special tokens. Each cell
    can use half of the other tokens; if it has more genes, the lowest-ranked ones are dropped. With
    `mlm`, number of tokens of one cell and two special tokens."""
    mask_prob: float = 0.15
    """Fraction of the next cell's genes that are scored."""
    mask_token_prob: float = 0.8
    """Fraction of the scored genes that are replaced by [MASK]."""
    random_token_prob: float = 0.1
    """Fraction of the scored genes that are replaced by a random gene; the others are not
    changed."""
    neighbor_key: str = "next_cell_ids"
    """Key of the graph of successors, in neighbors.json or obsp."""
    only_cells_with_neighbors: bool = True
    """Train only on cells that have successors."""
    no_neighbor_policy: NoNeighborPolicy | None = None
    """If only_cells_with_neighbors is false, which next cell is used for a cell without successors:
    the cell itself (`identity`, then the default), a random other cell of the split (`random`), or
    none (`skip`, which leaves the cell out)."""
    token_selection_policy: TokenSelectionPolicy = "identity"
    """Genes of the next cell: all of its own (`identity`), only those that the current cell also
    expresses (`intersection`), or its own followed by those that only the current cell expresses
    (`union`)."""
    successor_sampling: SuccessorSampling = "weighted"
    """Draw successors with probabilities in proportion to their weights (`weighted`), or with equal
    probabilities (`uniform`)."""
    shuffle_successors: bool = False
    """As a control, assign every successor to a random current cell. The difference in score
    between a model trained in this way and one trained on the true graph is the contribution of the
    graph."""
    context_dropout: float = 0.0
    """Largest fraction of the current cell's genes that is left out in training, which imitates
    shallower sequencing. For each cell and epoch, a fraction between 0 and this value is drawn, and
    each gene is left out with that probability. No genes are left out in validation."""
    successor_steps: int = 1
    """Largest number of steps along the graph from a current cell to its next cell, in training and
    validation: for each pair it is drawn from 1 to this number, and one successor after another."""
    time_gap_key: str | None = None
    """Column of obs with the time of each cell. The time between the two cells of a pair is then an
    input of the model, which can be asked for the cell that is so much later. With `steps`, it is
    the number of steps along the graph."""
    time_gap_dropout: float = 0.2
    """Fraction of the training pairs whose time gap is hidden from the model, so that it can also
    be asked without one."""
    next_cells_per_cell: int = 1
    """Number of successors drawn for each current cell in a step; the current cell is encoded only
    once for all of them."""
    resampling_neighbors: int = 0
    """Draw each next cell anew in every epoch, in training only: Poisson counts, at its own depth,
    of the mean expression of so many similar training cells, itself among them. 0 keeps the
    measured counts."""
    contrastive_weight: float = 0.0
    """Weight of a contrastive term beside the cross-entropy: which current cell of the micro-batch
    does each next cell follow, judged by the likelihood of its genes at ranks that are drawn for
    the micro-batch? With 0 there is none."""
    normalize_gene_expression: bool = True
    """Rank by count / total count * target_sum / median of the gene; otherwise by count."""
    target_sum: float = 10_000.0
    """Total count to which each cell is scaled before its counts are divided by the gene medians.
    It scales the rank values, but does not change the order of the genes."""
    seed: int = 42
    """Random seed. Masks and sampled successors depend only on the seed, the epoch and the cell."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.no_neighbor_policy is None:
            policy = "skip" if self.only_cells_with_neighbors else "identity"
            object.__setattr__(self, "no_neighbor_policy", policy)  # recorded as it was used
        shortest = SPECIALS_PER_PAIR + 2
        if self.seq_length < shortest:
            raise ValueError(
                f"seq_length must be at least {shortest} (one gene for each cell and "
                f"{SPECIALS_PER_PAIR} special tokens); got {self.seq_length}"
            )
        require_fraction(self, "mask_prob", zero=False)
        require_fraction(self, "mask_token_prob", "random_token_prob")
        if self.mask_token_prob + self.random_token_prob > 1:
            raise ValueError(
                "mask_token_prob + random_token_prob must not exceed 1; got "
                f"{self.mask_token_prob} + {self.random_token_prob}; lower one of them"
            )
        require_fraction(self, "context_dropout", one=False)
        if self.context_dropout and self.objective == "mlm":
            raise ValueError(
                f"context_dropout is {self.context_dropout}, but under objective 'mlm' the current "
                "cell's own genes are what is learned; set it to 0"
            )
        require_positive(self, "next_cells_per_cell", "target_sum")
        require_at_least(self, 0, "resampling_neighbors")
        if self.resampling_neighbors and self.objective == "mlm":
            raise ValueError(
                f"resampling_neighbors is {self.resampling_neighbors}, but under objective 'mlm' "
                "there are no next cells to draw; set it to 0"
            )
        self._check_contrast()
        self._check_gaps()

    def _check_contrast(self) -> None:
        require_at_least(self, 0, "contrastive_weight")
        if not self.contrastive_weight:
            return
        if self.objective == "mlm":
            raise ValueError(
                f"contrastive_weight is {self.contrastive_weight}, but under objective 'mlm' there "
                "are no next cells to compare; set it to 0"
            )
        if self.token_selection_policy != "identity":
            raise ValueError(
                f"contrastive_weight is {self.contrastive_weight}, but with token_selection_policy "
                f"{self.token_selection_policy!r} the genes of a next cell depend on its current "
                "cell, and no other current cell could be asked for them; set one of the two to "
                "its default"
            )

    def _check_gaps(self) -> None:
        require_at_least(self, 1, "successor_steps")
        require_fraction(self, "time_gap_dropout")
        if self.objective == "mlm" and (self.time_gap_key is not None or self.successor_steps > 1):
            raise ValueError(
                f"time_gap_key is {self.time_gap_key!r} and successor_steps is "
                f"{self.successor_steps}, but under objective 'mlm' there is no next cell; leave "
                "them out"
            )

    @property
    def genes_per_cell(self) -> int:
        """Genes that each of the two cells may keep, or the one cell under `mlm`."""
        if self.objective == "mlm":
            return self.seq_length - SPECIALS_PER_CONTEXT
        return (self.seq_length - SPECIALS_PER_PAIR) // 2

    def for_scoring(self) -> "PairSettings":
        """The same for cells as they were measured, without what is for training alone."""
        return replace(
            self,
            context_dropout=0.0,
            resampling_neighbors=0,
            contrastive_weight=0.0,
            successor_steps=1,
            time_gap_key=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values of these fields alone, for checkpoints."""
        return {field.name: getattr(self, field.name) for field in fields(PairSettings)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PairSettings":
        """The inverse of `to_dict`."""
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings(Settings):
    """Which numbers of the encoder become an embedding.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: A choice is unknown or a number out of range.
    """

    layer: int = -2
    """Hidden layer of the model (for the layer of the file, see counts_layer), numbered as in
    Hugging Face's hidden_states: 0 is the input embeddings, n the output of layer n, -1 the last
    layer, and -2 the second to last, which is less specialised for the training objective."""
    pooling: Pooling = "mean"
    """How the embedding of a cell is computed: as the mean over its genes (`mean`), or as the
    hidden state of `[CLS]` (`cls`)."""
    token_budget: int = 16_384
    """Number of tokens to encode at once; larger numbers need more memory."""
    min_mapped_counts: float = 0.5
    """Smallest fraction of the counts that must belong to genes of the model's vocabulary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "token_budget")
        require_fraction(self, "min_mapped_counts")


def positions_needed(settings: PairSettings, scheme: PositionScheme) -> int:
    """Rows of the position table that pairs of these settings take under a position scheme."""
    if scheme == "restarted" and settings.objective == "next_cell":
        return settings.genes_per_cell + SPECIALS_PER_CONTEXT
    return settings.seq_length


def check_batch_size(micro_batch_size: int, max_tokens: int | None) -> None:
    """Refuse sizes of a micro-batch that are not positive or contradict each other.

    Raises:
        ValueError: Names the setting and what to do.
    """
    if micro_batch_size < 1:
        raise ValueError(f"micro_batch_size must be at least 1; got {micro_batch_size}")
    if max_tokens is None:
        return
    if max_tokens < 1:
        raise ValueError(f"max_tokens_per_batch must be at least 1; got {max_tokens}")
    if micro_batch_size != MICRO_BATCH_SIZE:
        raise ValueError(
            f"max_tokens_per_batch={max_tokens} and micro_batch_size={micro_batch_size} both say "
            "how large a micro-batch is; give one of the two"
        )
