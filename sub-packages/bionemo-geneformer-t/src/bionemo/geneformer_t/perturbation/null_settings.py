"""Settings of nulls and tests; light, so that the command line can show them."""

from dataclasses import dataclass

from bionemo.geneformer_t.setting_values import Settings, require_at_least

LEAST_UNITS = 4
"""Donors below which there is no test over donors."""
LEAST_NULLS = 20
"""Matched targets below which there is no null, so that neither z nor p-value is given."""


@dataclass(frozen=True, kw_only=True)
class NullSettings(Settings):
    """How effects are compared with those of other genes.

    Raises:
        ValueError: A number is too small.
    """

    min_cells: int = 30
    """Number of cells, at least, in which an edit must do something for its effect to be tested and
    ranked."""
    num_null: int = 100
    """Number of matched genes (or combinations) that an effect is compared with; at least 20."""
    min_donor_cells: int = 5
    """Number of cells, at least, in which an edit must do something for a donor to count."""
    seed: int = 0
    """Seed of the combinations that are drawn as nulls of combinations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "min_cells", "min_donor_cells")
        require_at_least(self, LEAST_NULLS, "num_null")
        require_at_least(self, 0, "seed")

    @property
    def least_null_cells(self) -> int:
        """Affected cells of a null target, half of what a target needs.

        So targets with just enough cells have matched genes on both sides.
        """
        return -(-self.min_cells // 2)
