"""NextCellTraining: what a step of training and of validation does, as Lightning's hooks.

The loss of an optimizer step is the mean over all scored positions of its global batch, whatever
the number of micro-batches and processes: micro-batches contribute sums, and the gradients are
divided once, before the step, by the count over all of them.
"""

from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.step.dropout_streams import seed_dropout
from bionemo.geneformer_t.model.step.finite import StepBatches, gradient_norm
from bionemo.geneformer_t.model.step.learning_rate import default_warmup, warmup_cosine
from bionemo.geneformer_t.model.step.optimizer import parameter_groups
from bionemo.geneformer_t.model.step.sharding import is_sharded, shard

_TYPICAL_SCORED = 256
"""Keeps the summed loss of a micro-batch near a mean's size, for 16-bit gradients."""


class NextCellTraining(L.LightningModule):
    """Trains a network whose summed loss a subclass knows.

    `hparams` hold `learning_rate`, `weight_decay`, `warmup_steps`, `layer_lr_decay` and `compile`.
    """

    def __init__(self, net: NextCellBert) -> None:
        super().__init__()
        self.net = net
        self.pair_settings: PairSettings | None = None
        self.val_loss = MeanMetric()
        self._step = StepBatches()

    def summed_loss(self, batch: TemporalBatch) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over the scored positions; 0 where there are none."""
        raise NotImplementedError

    def configure_model(self) -> None:
        """Share weights, gradients and optimizer state among processes, where the strategy asks."""
        if self.device_mesh is not None and not is_sharded(self.net):
            shard(self.net, self.device_mesh["data_parallel"])

    def on_fit_start(self) -> None:
        """Compile where asked."""
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
        summed = self.summed_loss(batch)
        self._step.add(summed, batch)
        return summed / _TYPICAL_SCORED

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
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def validation_step(self, batch: TemporalBatch, batch_idx: int) -> None:
        """Mean cross-entropy over the scored positions of the whole split, as `val/loss`."""
        self._evaluate(batch, "val/loss")

    def test_step(self, batch: TemporalBatch, batch_idx: int) -> None:
        """Mean cross-entropy over the scored positions of the whole split, as `test/loss`."""
        self._evaluate(batch, "test/loss")

    def _evaluate(self, batch: TemporalBatch, name: str) -> None:
        scored = batch.num_scored
        if scored:
            self.val_loss.update(self.summed_loss(batch) / scored, weight=scored)
        self.log(name, self.val_loss, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with linear warm-up and cosine decay over the steps of the run."""
        total = int(self.trainer.estimated_stepping_batches)
        warmup = self.hparams["warmup_steps"]
        warmup = default_warmup(total) if warmup is None else warmup
        optimizer = torch.optim.AdamW(self._parameter_groups())
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
        )
