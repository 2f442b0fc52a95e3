"""How a model is trained, step by step."""

from dataclasses import dataclass

from bionemo.geneformer_t.config import MatmulBackend, Recompute
from bionemo.geneformer_t.setting_values import Settings


@dataclass(frozen=True, kw_only=True)
class StepSettings(Settings):
    """What a checkpoint holds beside the sizes of the model.

    Raises:
        TypeError: A value is no plain value of its type; names it.
        ValueError: A choice is not possible.
    """

    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """On matrices; biases and LayerNorms are spared."""
    warmup_steps: int | None = None
    """Optimizer steps to the peak; None for a tenth of the run, at most 2,000."""
    layer_lr_decay: float | None = None
    """Factor on the learning rate from each layer to the one below it."""
    gene_lr_fraction: float = 1.0
    """Learning rate of gene embeddings and all biases of genes, as a fraction of the others'."""
    attention_backend: str = "auto"
    """`auto`, or a name in `ATTENTION_BACKENDS` or `GPU_BACKENDS`."""
    matmul_backend: MatmulBackend = "auto"
    """The library of float32 matrix products on a CPU."""
    recompute: Recompute = "nothing"
    """What the backward pass computes again instead of keeping it."""
    compile: bool = False
    """Compile the layers with `torch.compile` when training starts."""
