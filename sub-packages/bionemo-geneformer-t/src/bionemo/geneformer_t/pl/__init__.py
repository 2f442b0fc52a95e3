"""Pictures of what `gft.tl` puts into AnnData objects, in scanpy's manner.

In: an AnnData object after `gft.tl.transitions`, `gft.tl.fates`, `gft.tl.rollout`,
`gft.tl.drivers` or `gft.tl.perturb`. Out: Matplotlib's Axes, to change or to save. The drawing
itself is in `report/figures`, so that the report shows the same pictures.
"""

from bionemo.geneformer_t.pl.driver_plots import driver_trends, drivers
from bionemo.geneformer_t.pl.fate_plots import fate_bars, fate_triangle, fates
from bionemo.geneformer_t.pl.perturbation_plots import (
    perturbation_clusters,
    perturbation_fates,
    perturbation_trends,
    perturbation_volcano,
)
from bionemo.geneformer_t.pl.rollout_plots import rollout
from bionemo.geneformer_t.pl.transition_plots import flow, transitions

__all__ = [
    "driver_trends",
    "drivers",
    "fate_bars",
    "fate_triangle",
    "fates",
    "flow",
    "perturbation_clusters",
    "perturbation_fates",
    "perturbation_trends",
    "perturbation_volcano",
    "rollout",
    "transitions",
]


def __dir__() -> list[str]:
    """What tab completion offers."""
    return __all__
