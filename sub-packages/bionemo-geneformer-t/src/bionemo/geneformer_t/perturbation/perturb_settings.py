"""Settings of a perturbation; light, so that the command line can show them."""

from dataclasses import dataclass

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.fates.terminal_settings import FATES
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.perturbation.null_settings import NullSettings
from bionemo.geneformer_t.setting_values import require_at_least, require_fraction

ALL = "all"
"""The word for all genes."""
PERTURBATION = "perturbation"
"""Where the table of effects is, in `uns`."""


@dataclass(frozen=True, kw_only=True)
class PerturbSettings(NullSettings):
    """Which genes are edited in which cells, and what is read.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: A number is out of range, or settings exclude each other.
    """

    genes: str = ALL
    """Genes to edit: `all`, a file with one gene (or combination) on each line, or names with
    commas between them; B+C for two genes that are edited together."""
    edit: str = "delete"
    """What is done to them: `delete`; `up:K` or `down:K` to move them by K ranks; `as:CLUSTER` to
    give them the ranks that they have in the middle cell of another cluster."""
    cluster_key: str | None = None
    """Column of obs with the cluster or cell type of each cell."""
    clusters: tuple[str, ...] = ()
    """Clusters whose cells are edited. By default all cells that are in no terminal state."""
    fates: tuple[str, ...] = ()
    """Fates to read. By default all that the input has."""
    pseudotime_key: str | None = None
    """Column of obs with a pseudotime or time, in numbers. If given, its change is read too."""
    donor_key: str | None = None
    """Column of obs with the donor or replicate, which is then the unit of the test."""
    time_key: str | None = None
    """Column of obs with time points, where cells go to the next time point only. By default as
    the transitions of the input were made."""
    fates_key: str = FATES
    """Table of obsm with the fate probabilities."""
    transitions_key: str = KEY
    """Entry of uns that says how the transitions of the input were made."""
    screen: bool = False
    """Rank all genes by estimates from one backward pass for each cell and readout, and compute the
    effects of the first ones alone exactly. For `delete` alone. What that finds of the largest
    effects is measured on a sample of cells and printed. The estimates of all genes are written as
    a table of their own, without p-values: NAME.estimates.csv beside a .csv, KEY_estimates in uns
    of an .h5ad."""
    num_verified: int = 40
    """Number of genes, those with the largest estimates of a readout, that a screen verifies; at
    least 20."""
    num_sampled: int = 20
    """Number of cells in which a screen deletes every gene exactly, to measure what it finds; at
    least 5."""
    num_sustained: int = 0
    """Number of targets, those with the largest z of a fate, for which the fates are solved again
    with all cells edited. It takes about as long as editing one gene in all cells of the input, for
    each of them."""
    with_cells: bool = False
    """Also keep the effect in each cell, a table of cells x targets for each readout."""
    with_ranks: bool = False
    """Also read the change of the expected normalised rank of every gene in the next cell, a table
    of genes x targets."""
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts
    """Smallest fraction of the counts that must belong to genes of the checkpoint's vocabulary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "num_sustained")
        require_at_least(self, 20, "num_verified")
        require_at_least(self, 5, "num_sampled")
        require_fraction(self, "min_mapped_counts")
        if self.screen and (self.genes != ALL or self.edit != "delete"):
            raise ValueError(
                f"screen: a screen is for deleting all genes; got genes {self.genes!r} and edit "
                f"{self.edit!r}, which have no estimates. Leave screen out: everything is computed "
                "exactly then"
            )
        if self.screen and self.with_cells:
            raise ValueError(
                "with_cells is for genes that are named; a screen keeps no single cells. Leave "
                "one of them out"
            )
