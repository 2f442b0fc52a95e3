"""Functions on AnnData objects that train, score and apply a model, in scanpy's manner.

In: an AnnData object with raw counts and a model. Out: arrays in its `obs`, `obsm`, `obsp`,
`layers`, `varm` and `uns`. `train` and `evaluate` run commands, which no function here may import:
like the public names of the package, they are found when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.tl.cell_fates import compare_fates, fates
from bionemo.geneformer_t.tl.cell_transitions import transitions
from bionemo.geneformer_t.tl.embeddings import embed
from bionemo.geneformer_t.tl.fate_drivers import drivers
from bionemo.geneformer_t.tl.perturbations import perturb
from bionemo.geneformer_t.tl.predictions import predict

if TYPE_CHECKING:  # for editors and mypy; `_COMMANDS` has the same names
    from bionemo.geneformer_t.run.in_memory.evaluate import evaluate
    from bionemo.geneformer_t.run.in_memory.train import train

__all__ = [
    "compare_fates", "drivers", "embed", "evaluate", "fates", "perturb", "predict", "train",
    "transitions",
]  # fmt: skip

_COMMANDS = ("evaluate", "train")


def __getattr__(name: str) -> Any:
    """Import a command at its first use."""
    if name not in _COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = getattr(import_module(f"bionemo.geneformer_t.run.in_memory.{name}"), name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
