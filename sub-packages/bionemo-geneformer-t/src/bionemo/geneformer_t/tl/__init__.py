"""Functions on AnnData objects that apply a trained model, in scanpy's manner.

In: an AnnData object with raw counts and a model. Out: arrays in its `obsm`, `obsp`, `layers`,
`varm` and `uns`.
"""

from bionemo.geneformer_t.tl.cell_fates import compare_fates, fates
from bionemo.geneformer_t.tl.cell_transitions import transitions
from bionemo.geneformer_t.tl.embeddings import embed
from bionemo.geneformer_t.tl.fate_drivers import drivers
from bionemo.geneformer_t.tl.perturbations import perturb
from bionemo.geneformer_t.tl.predictions import predict

__all__ = ["compare_fates", "drivers", "embed", "fates", "perturb", "predict", "transitions"]


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
