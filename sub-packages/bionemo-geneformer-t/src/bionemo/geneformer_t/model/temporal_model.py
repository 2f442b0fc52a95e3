"""TemporalGeneformerModel: a `NextCellModel` that Lightning trains and saves.

The loss of an optimizer step is the mean over all scored positions of its global batch, whatever
the number of micro-batches and processes: micro-batches contribute sums, and the gradients are
divided once, before the step, by the count over all of them.

The contrastive term, where `contrastive_weight` asks for it, compares the cells of one micro-batch
of one process. That of a step is the mean over its micro-batches and processes, each with the
weight of its scored positions, so it does depend on how many cells a micro-batch has.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import is_zipfile

import lightning as L
import torch
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig, MatmulBackend, PositionScheme, Recompute
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.step.dropout_streams import seed_dropout
from bionemo.geneformer_t.model.step.finite import StepBatches, gradient_norm
from bionemo.geneformer_t.model.step.learning_rate import default_warmup, warmup_cosine
from bionemo.geneformer_t.model.step.optimizer import parameter_groups
from bionemo.geneformer_t.model.step.settings import StepSettings
from bionemo.geneformer_t.model.step.sharding import is_sharded, shard
from bionemo.geneformer_t.model.weight_checks import HYPER_PARAMETERS, check_sizes_of, naming
from bionemo.geneformer_t.model.weights.pretrained import (
    CHECKPOINT_KEY,
    Pretrained,
    read_pretrained,
)
from bionemo.geneformer_t.model.weights.vocabulary_transfer import changed, transfer_vocabulary
from bionemo.geneformer_t.safe_files import load_plain
from bionemo.geneformer_t.setting_values import plain_entry
from bionemo.geneformer_t.vocab import MASK, GeneVocab

_TYPICAL_SCORED = 256
"""Keeps the summed loss of a micro-batch near a mean's size, for 16-bit gradients."""


class TemporalGeneformerModel(NextCellModel, L.LightningModule):
    """Geneformer that predicts the next cell.

    Args:
        config: Sizes of the model.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: On matrices; biases and LayerNorms are spared.
        warmup_steps: Optimizer steps to the peak; None for a tenth of the run, at most 2,000.
        layer_lr_decay: Factor on the learning rate from each layer to the one below it.
        gene_lr_fraction: Factor on the learning rate of gene embeddings and all biases of genes.
        attention_backend: `auto`, or a name in `ATTENTION_BACKENDS` or `GPU_BACKENDS`.
        matmul_backend: The library of float32 matrix products on a CPU.
        recompute: What the backward pass computes again instead of finding it kept.
        compile: Compile the layers with `torch.compile` when training starts.

    The vocabulary comes from the data module at the start of a run, or from the checkpoint.

    Raises:
        TypeError: An argument is no plain value of its type; names it.
        ValueError: A size or a choice is not possible.

    Example:
        >>> config = gft.BioBertConfig(
        ...     vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4
        ... )
        >>> model = gft.TemporalGeneformerModel(config, learning_rate=1e-3)
    """

    if TYPE_CHECKING:  # Lightning's attributes have no types

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        config: BioBertConfig | Mapping[str, Any],
        *,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        warmup_steps: int | None = None,
        layer_lr_decay: float | None = None,
        gene_lr_fraction: float = 1.0,
        attention_backend: str = "auto",
        matmul_backend: MatmulBackend = "auto",
        recompute: Recompute = "nothing",
        compile: bool = False,  # noqa: A002 # PyTorch's and Lightning's own word for it
    ) -> None:
        config = config if isinstance(config, BioBertConfig) else BioBertConfig.from_dict(config)
        training = StepSettings(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            layer_lr_decay=layer_lr_decay,
            gene_lr_fraction=gene_lr_fraction,
            attention_backend=attention_backend,
            matmul_backend=matmul_backend,
            recompute=recompute,
            compile=compile,
        )
        super().__init__(config, training.attention_backend)
        self.save_hyperparameters({"config": config.to_dict(), **asdict(training)})
        self.net.set_recompute(training.recompute)
        self.net.set_matmul_backend(training.matmul_backend)
        self.val_loss = MeanMetric()
        self.val_contrastive = MeanMetric()
        self._step = StepBatches()

    @classmethod
    def from_pretrained(
        cls,
        source: Path | str | Pretrained,
        *,
        vocab: GeneVocab | None = None,
        pretrained_vocab: Path | str | None = None,
        position_scheme: PositionScheme | None = None,
        dropout_prob: float | None = None,
        num_positions: int | None = None,
        rank_knots: int | None = None,
        time_gaps: bool = False,
        seed: int = 42,
        **training: Any,
    ) -> "TemporalGeneformerModel":
        """A model that starts from a Geneformer checkpoint, its rows found by gene.

        Args:
            source: A folder with `config.json` and `model.safetensors`, a checkpoint of a training
                run, `OWNER/NAME[/FOLDER]` on the Hugging Face hub, or what was read of these.
            vocab: The vocabulary of the data; by default that of the checkpoint, special tokens
                that it lacks added at the end.
            pretrained_vocab: The token dictionary of the weights, if none is beside them.
            position_scheme: See `BioBertConfig`; by default the checkpoint's.
            dropout_prob: Dropout on embeddings, layer outputs and attention; by default the
                checkpoint's.
            num_positions: Rows of the position table; more than the checkpoint has are appended.
            rank_knots: See `BioBertConfig`; by default the checkpoint's.
            time_gaps: See `BioBertConfig`; the map starts at zero, whatever the checkpoint has.
            seed: Draws what has no pretrained weights; `start` lists it.
            training: What the constructor takes beside `config`.

        Raises:
            FileNotFoundError: The checkpoint, or a file of it, is missing.
            ValueError: It is damaged, of another architecture, does not agree with itself, or
                knows no gene of the vocabulary.
        """
        pretrained = (
            source if isinstance(source, Pretrained) else read_pretrained(source, pretrained_vocab)
        )
        vocab = pretrained.own_vocab() if vocab is None else vocab
        config = changed(
            pretrained.config, position_scheme, dropout_prob, num_positions, rank_knots
        )
        config = replace(config, time_gaps=time_gaps)
        transferred = transfer_vocabulary(pretrained, vocab, config, seed)
        model = cls(transferred.config, **training)
        model.net.load_state_dict(transferred.state)
        model.vocab, model.start = vocab, transferred.report
        return model

    @classmethod
    def load_from_checkpoint(
        cls, checkpoint_path: Path | str | IO[bytes], *args: Any, **kwargs: Any
    ) -> "TemporalGeneformerModel":
        """What Lightning's method does, once the settings agree with the tensors in the file.

        Args:
            checkpoint_path: A file, or what else Lightning takes.
            args: What Lightning's method takes beside it.
            kwargs: The same, by name.

        Raises:
            ValueError: As `on_load_checkpoint`; or the file is damaged, or its settings are not
                those of its weights.

        Example:
            >>> model = gft.TemporalGeneformerModel.load_from_checkpoint(checkpoint)
        """
        if isinstance(checkpoint_path, Path | str) and Path(checkpoint_path).is_file():
            path = Path(checkpoint_path)
            content = load_plain(path, mmap=True, verify=is_zipfile(path))
            with naming(checkpoint_path):
                check_sizes_of(content if CHECKPOINT_KEY in content else {})
        with naming(checkpoint_path):
            loaded: TemporalGeneformerModel = super().load_from_checkpoint(
                checkpoint_path, *args, **kwargs
            )
        return loaded

    # --- vocabulary and checkpoints -----------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Take the vocabulary and the pair settings of the data module."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and hasattr(data, "vocab"):
            self.adopt(data.vocab, data.settings)
        if data is not None and stage == "fit" and hasattr(data, "provenance"):
            source = self.start.source if self.start else None
            self.provenance = replace(data.provenance, pretrained=source)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what the weights mean and come from beside them, as plain values.

        Raises:
            TypeError: A setting is no plain value; the checkpoint could not be read again.
        """
        checkpoint[CHECKPOINT_KEY] = self.entry().to_dict()
        checkpoint[HYPER_PARAMETERS] = plain_entry(
            checkpoint.get(HYPER_PARAMETERS, {}), HYPER_PARAMETERS, kept=Tensor
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back; see `read_entry`."""
        self.read_entry(checkpoint)

    # --- training -----------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Share weights, gradients and optimizer state among processes, where the strategy asks."""
        if self.device_mesh is not None and not is_sharded(self.net):
            shard(self.net, self.device_mesh["data_parallel"])

    def on_fit_start(self) -> None:
        """Forget what an earlier training fitted to its weights; compile where asked."""
        self.axes, self.memory, self.transitions = None, None, None
        if self.hparams["compile"]:
            self.net.compile_layers()

    def on_train_start(self) -> None:
        """Take the rates and the schedule of this run.

        A checkpoint that a run resumes from brings those it was written under, in the state of the
        optimizer, and Lightning restores them over what was given.
        """
        schedule = self.lr_schedulers()
        if not isinstance(schedule, LambdaLR):
            return  # a subclass with an optimizer of its own
        groups, fresh = schedule.optimizer.param_groups, self._parameter_groups()
        schedule.base_lrs = [group["lr"] for group in fresh]
        for group, given, factor in zip(groups, fresh, schedule.lr_lambdas, strict=True):
            group["initial_lr"], group["weight_decay"] = given["lr"], given["weight_decay"]
            group["lr"] = given["lr"] * factor(schedule.last_epoch)

    def on_train_batch_start(self, batch: TemporalBatch, batch_idx: int) -> None:
        """Make dropout a pure function of (seed, epoch, batch, rank)."""
        if self.pair_settings is not None:
            epoch = self.trainer.fit_loop.epoch_progress.current.processed
            seed_dropout(self.pair_settings.seed, epoch, batch_idx, self.global_rank)

    def training_step(self, batch: TemporalBatch, batch_idx: int) -> STEP_OUTPUT:
        """One micro-batch; returns its summed loss, scaled by a constant."""
        if not self.contrastive_weight:
            summed = self.summed_loss(batch)
            self._step.add(summed, batch)
            return summed / _TYPICAL_SCORED
        summed, contrastive = self._losses(batch)
        self._step.add(summed, batch, contrastive)
        return (summed + self.contrastive_weight * batch.num_scored * contrastive) / _TYPICAL_SCORED

    @property
    def contrastive_weight(self) -> float:
        """Weight of the contrastive term beside the cross-entropy."""
        return 0.0 if self.pair_settings is None else self.pair_settings.contrastive_weight

    def _losses(self, batch: TemporalBatch) -> tuple[Tensor, Tensor]:
        """The summed cross-entropy, and the mean of the contrastive term over next cells."""
        return self.net.losses(batch, self.attention(), self.required_vocab().ids[MASK])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn the gradients of sums into the gradient of the mean over the global batch."""
        totals = self._step.totals()
        summed, scored = self.trainer.strategy.reduce(totals, reduce_op="sum")
        self._step.check_loss(summed, self.trainer)
        scored = scored.clamp(min=1)
        averaged_over = self.trainer.accumulate_grad_batches * self.trainer.world_size
        factor = float(_TYPICAL_SCORED * averaged_over / scored)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, factor)
        self.log("train/loss", (summed / scored).float(), prog_bar=True)
        if self.contrastive_weight:
            term = self.trainer.strategy.reduce(self._step.contrastive(), reduce_op="sum")
            self.log("train/contrastive", (term / scored).float())
        self.log("learning_rate", optimizer.param_groups[0]["lr"])

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Refuse a gradient that is not finite; clip the others by the norm found."""
        norm = gradient_norm(self.parameters())
        self._step.check_norm(norm, self.trainer)
        self._step = StepBatches()
        if gradient_clip_val and gradient_clip_algorithm in {None, "norm"}:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)

    def validation_step(self, batch: TemporalBatch, batch_idx: int) -> None:
        """Mean cross-entropy over the scored positions of the whole split, as `val/loss`.

        The contrastive term, where there is one, is its mean over next cells, `val/contrastive`.
        """
        if not self.contrastive_weight:
            self._evaluate(batch, self.summed_loss(batch), "val/loss")
            return
        summed, contrastive = self._losses(batch)
        self._evaluate(batch, summed, "val/loss")
        if len(batch.next_cells):
            self.val_contrastive.update(contrastive, weight=len(batch.next_cells))
        self.log("val/contrastive", self.val_contrastive, on_step=False, on_epoch=True)

    def test_step(self, batch: TemporalBatch, batch_idx: int) -> None:
        """Mean cross-entropy over the scored positions of the whole split, as `test/loss`."""
        self._evaluate(batch, self.summed_loss(batch), "test/loss")

    def _evaluate(self, batch: TemporalBatch, summed: Tensor, name: str) -> None:
        scored = batch.num_scored
        if scored:
            self.val_loss.update(summed / scored, weight=scored)
        self.log(name, self.val_loss, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with linear warm-up and cosine decay over the steps of the run."""
        total = int(self.trainer.estimated_stepping_batches)
        warmup = self.hparams["warmup_steps"]
        warmup = default_warmup(total) if warmup is None else warmup
        scales_loss = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        # one pass over weights and moments; with a scaler, gradients are to be clipped before it
        optimizer = torch.optim.AdamW(self._parameter_groups(), fused=not scales_loss)
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, total))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_groups(
            self.net,
            self.hparams["learning_rate"],
            self.hparams["weight_decay"],
            self.hparams["layer_lr_decay"],
            self.hparams["gene_lr_fraction"],
        )
