"""Stop training on a non-finite loss or gradient, and report the cells of the batch.

A loss or gradient that overflows would turn every weight into NaN in one step. Both are checked
before the step, so the weights are still good when the run stops.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from bionemo.geneformer_t.some_names import some_names

if TYPE_CHECKING:
    import lightning as L

    from bionemo.geneformer_t.batch import TemporalBatch

_SHOWN = 16
_SMALLEST_SCALE = 2.0**-8
"""Below this, gradients overflow 16 bits whatever the loss is scaled by."""


class NotFiniteError(ValueError):
    """A loss or a gradient is infinite or no number."""


class StepBatches:
    """The micro-batches of one optimizer step: their losses, and whom to name if these fail."""

    def __init__(self) -> None:
        self._losses: list[Float[Tensor, ""]] = []
        self._cells: list[Tensor] = []
        self._scored = 0
        self._contrastive: list[Float[Tensor, ""]] = []

    def add(
        self,
        summed_loss: Float[Tensor, ""],
        batch: "TemporalBatch",
        contrastive: Float[Tensor, ""] | None = None,
    ) -> None:
        """Note one micro-batch, its summed loss, and its contrastive term if there is one."""
        self._losses.append(summed_loss.detach())
        if contrastive is not None:
            self._contrastive.append(batch.num_scored * contrastive.detach())
        self._cells.append(batch.cells)
        self._scored += batch.num_scored

    def totals(self) -> Float[Tensor, "2"]:
        """The summed loss and the number of scored positions of this process."""
        summed = torch.stack(self._losses).sum().double()
        return torch.stack([summed, summed.new_tensor(float(self._scored))])

    def contrastive(self) -> Float[Tensor, ""]:
        """The contrastive terms of this process, summed with the weights of scored positions."""
        return torch.stack(self._contrastive).sum().double()

    def check_loss(self, summed: Float[Tensor, ""], trainer: "L.Trainer") -> None:
        """Refuse a loss that is not finite.

        Args:
            summed: The loss, summed over all processes, which then all end.
            trainer: Knows the step and the cells' names.

        Raises:
            NotFiniteError: Names the cells of the micro-batches whose loss is not finite.
        """
        if torch.isfinite(summed):
            return
        bad = [
            cells
            for loss, cells in zip(self._losses, self._cells, strict=True)
            if not torch.isfinite(loss)
        ]
        raise NotFiniteError(_message("the loss", float(summed), bad, trainer))

    def check_norm(self, norm: Float[Tensor, ""], trainer: "L.Trainer") -> None:
        """Refuse a gradient whose norm is not finite.

        With a loss scaler (16-mixed on a GPU) such gradients are part of its search for a scale:
        it skips the step itself, and only one that no scale helps is refused.

        Raises:
            NotFiniteError: Names the cells of the step.
        """
        if torch.isfinite(norm):
            return
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() > _SMALLEST_SCALE:
            return
        raise NotFiniteError(_message("the gradient's norm", float(norm), self._cells, trainer))


def gradient_norm(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """The norm of all gradients together."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def _message(what: str, value: float, cells: Sequence[Tensor], trainer: "L.Trainer") -> str:
    where = f"{what} is {value} before optimizer step {trainer.global_step + 1}"
    if cells:
        rows = torch.cat(list(cells)).tolist()
        shown = some_names(_names(rows[: _SHOWN + 1], trainer), _SHOWN)
        where += f", with these {len(rows)} current cells of the training data: {shown}"
    else:
        where += ", in another process; its log names the cells"
    clipping = "lower" if trainer.gradient_clip_val else "set"
    is_half = str(trainer.precision).startswith("16")
    precision = f", take precision bf16-mixed in place of {trainer.precision}" if is_half else ""
    return (
        f"{where}. Nothing was trained on it. Lower learning_rate or raise warmup_steps, "
        f"{clipping} gradient_clip_val{precision}, and look for extreme counts in these cells; "
        "then continue with --resume_from_checkpoint last"
    )


def _names(rows: list[int], trainer: "L.Trainer") -> list[str]:
    data = getattr(trainer, "datamodule", None)
    return data.train.names_of(rows) if data is not None else [f"row {row}" for row in rows]
