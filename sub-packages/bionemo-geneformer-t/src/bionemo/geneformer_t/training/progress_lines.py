"""How far training is, as a line of the log after each validation, where there is no bar."""

import logging
from typing import Any

import lightning as L

logger = logging.getLogger(__name__)


class ProgressLines(L.Callback):
    """Logs step and validation loss, once for all processes."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where the run is."""
        if trainer.is_global_zero:
            logger.info("%s", progress_line(trainer.global_step, trainer.callback_metrics))


def progress_line(step: int, metrics: Any) -> str:
    """Such as `step 475: validation loss 5.466`."""
    loss = metrics.get("val/loss")
    return f"step {step:,}" + ("" if loss is None else f": validation loss {float(loss):.4g}")
