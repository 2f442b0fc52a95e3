"""The facts that affect the last bits of a run, apart from its settings and data.

A sum of floats depends on the order of addition, which depends on the number of threads, the
processor, the version of PyTorch and the type of device. A checkpoint contains these facts.
"""

import logging
from collections.abc import Mapping

import lightning as L
import torch

from bionemo.geneformer_t.model.products import described

logger = logging.getLogger(__name__)


def numerics(trainer: L.Trainer) -> dict[str, str | int]:
    """These facts for this process, as plain values."""
    device = trainer.strategy.root_device.type
    backend = trainer.lightning_module.hparams.get("matmul_backend", "auto")
    return {
        "threads": torch.get_num_threads(),
        "PyTorch": str(torch.__version__),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "float32 products": described(backend) if device == "cpu" else "default",
        "device": device,
    }


def warn_of_other_bits(before: Mapping[str, str | int], now: Mapping[str, str | int]) -> None:
    """Warn that a resumed run will differ from an uninterrupted one in the last bits, and why."""
    found = [
        f"{name}: {value} then, {now[name]} now"
        for name, value in before.items()
        if name in now and now[name] != value
    ]
    if found:
        logger.warning(
            "this run resumes under other conditions (%s): training is as good as before, but its "
            "numbers will differ in the last bits from those of an uninterrupted run. "
            "OMP_NUM_THREADS or torch.set_num_threads sets the number of threads",
            "; ".join(found),
        )  # fmt: skip
