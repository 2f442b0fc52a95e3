"""Settings of the test for driver genes; light, so that the command line can show them."""

from dataclasses import dataclass

from bionemo.geneformer_t.setting_values import Settings, require_at_least

DRIVERS = "fate_drivers"
"""Where the table of drivers is, in `uns`."""


@dataclass(frozen=True, kw_only=True)
class DriverSettings(Settings):
    """How driver genes are tested.

    Raises:
        ValueError: A number is too small.
    """

    depth_bins: int = 5
    """Number of strata of depth in each cluster (and donor); fewer where they would have less than
    20 cells."""
    min_cells: int = 10
    """Number of cells, at least, that express a gene, of the cells that are compared."""
    num_permutations: int = 1000
    """Number of permutations for every gene."""
    max_permutations: int = 100_000
    """Largest number of permutations, for genes that few permutations exceed; the least p-value is
    1 / (1 + this)."""
    seed: int = 0
    """Seed of the permutations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "depth_bins", "min_cells", "num_permutations")
        require_at_least(self, 0, "seed")
        if self.max_permutations < self.num_permutations:
            raise ValueError(
                f"max_permutations must be at least num_permutations ({self.num_permutations}); "
                f"got {self.max_permutations}"
            )
