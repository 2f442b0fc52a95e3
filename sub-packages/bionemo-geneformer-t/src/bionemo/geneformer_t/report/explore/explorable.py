"""What can be explored, as arrays: the cells of a split, where they go, and what is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.fate_section import FateResults
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.graph_map import some_of


@dataclass(frozen=True, kw_only=True)
class Explorable:
    """The cells of a split."""

    names: Sequence[str]
    where: CellMap
    arrows: Arrows
    encode: Callable[[int], Int[ndarray, " _"]]
    """Row of a cell -> its genes in rank order."""
    facts: CellFacts
    gene_ids: Int[ndarray, " gene"]
    """Tokens that are genes."""
    gene_names: Sequence[str]
    """What each token is called."""
    tokens: Sequence[str]
    """The id of each token, such as an Ensembl id."""
    named: Sequence[int] = ()
    """Tokens of the genes that the page names, the most important first."""
    fates: FateResults | None = None
    time_labels: Mapping[float, str] = field(default_factory=dict)
    """What time points are called."""
    uncertainty: Float[ndarray, " cell"] | None = None
    """Mean entropy of the predictions for each cell, nats; NaN where it was not scored."""

    def shown(self, rng: np.random.Generator, most: int) -> Int[ndarray, " shown"]:
        """Rows of the cells that are shown, ascending; those without a place are not."""
        placed = np.flatnonzero(np.isfinite(self.where.coordinates).all(axis=1))
        chosen: ndarray = placed[some_of(len(placed), most, rng)]
        return chosen

    def profiles(self, rows: Int[ndarray, " shown"]) -> sp.csr_array:
        """Normalised ranks in cells, as of the predictions; cells x vocabulary."""
        cells = [self.encode(int(row)) for row in rows]
        return sp.csr_array(cell_profiles(cells, self.arrows.num_ranks, len(self.tokens)))
