"""What the last bits of a run depend on beside its settings and data.

Sums of floats come out by the order in which they are added, and that order is chosen by the number
of threads, the processor, the version of PyTorch and the kind of device. A checkpoint carries them.
"""

import logging
from collections.abc import Mapping

import lightning as L
import torch

logger = logging.getLogger(__name__)


def numerics(trainer: L.Trainer) -> dict[str, str | int]:
    """These facts about this process, as plain values."""
    return {
        "threads": torch.get_num_threads(),
        "PyTorch": str(torch.__version__),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "device": trainer.strategy.root_device.type,
    }


def warn_of_other_bits(before: Mapping[str, str | int], now: Mapping[str, str | int]) -> None:
    """Say that a resumed run will not have the bits of an uninterrupted one, and why."""
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
