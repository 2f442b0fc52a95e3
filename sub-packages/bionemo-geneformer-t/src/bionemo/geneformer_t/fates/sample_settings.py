"""How next cells are drawn; light, for the command line."""

from dataclasses import dataclass

from bionemo.geneformer_t.setting_values import Settings, require_at_least


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Settings):
    """How many next cells are drawn, and by which seed.

    Raises:
        ValueError: A number is too small.
    """

    num_cells: int = 1
    """Next cells that are drawn for each current cell, with replacement."""
    seed: int = 0
    """Seed of the draws. More draws leave the first ones as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "num_cells")
        require_at_least(self, 0, "seed")
