"""Functions on AnnData objects that train, score and apply a model, in scanpy's manner.

In: an AnnData object with raw counts and a model. Out: arrays in its `obs`, `obsm`, `obsp`,
`layers`, `varm` and `uns`. `train` and `evaluate` run commands, which no function here may import:
like the public names of the package, they are found when they are first used.
"""

from typing import TYPE_CHECKING

from bionemo.geneformer_t.lazy_names import import_when_used
from bionemo.geneformer_t.tl.cell_fates import compare_fates, fates
from bionemo.geneformer_t.tl.cell_transitions import transitions
from bionemo.geneformer_t.tl.embeddings import embed
from bionemo.geneformer_t.tl.fate_drivers import drivers
from bionemo.geneformer_t.tl.perturbations import perturb
from bionemo.geneformer_t.tl.predictions import predict
from bionemo.geneformer_t.tl.rollouts import rollout
from bionemo.geneformer_t.tl.sampled_next_cells import sample_next_cells
from bionemo.geneformer_t.tl.time_between import time_between

if TYPE_CHECKING:  # for editors and mypy; `_HOME` has the same names
    from bionemo.geneformer_t.run.in_memory.evaluate import evaluate
    from bionemo.geneformer_t.run.in_memory.train import train

__all__ = [
    "compare_fates", "drivers", "embed", "evaluate", "fates", "perturb", "predict", "rollout",
    "sample_next_cells", "time_between", "train", "transitions",
]  # fmt: skip

_HOME = {
    "evaluate": ("run.in_memory.evaluate", "evaluate"),
    "train": ("run.in_memory.train", "train"),
}
"""Name -> module and name in it."""

__getattr__ = import_when_used(__name__, _HOME)


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
