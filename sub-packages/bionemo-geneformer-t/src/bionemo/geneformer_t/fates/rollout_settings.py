"""How walks over real cells are made; light, for the command line."""

from dataclasses import dataclass

from bionemo.geneformer_t.setting_values import Settings, require_at_least

ROLLOUT = "rollout"
"""Where walks and their compositions are, in `uns`."""


@dataclass(frozen=True, kw_only=True)
class RolloutSettings(Settings):
    """Where walks start, how many there are, and what they are described by.

    Raises:
        ValueError: A number is too small, or the seed is negative.
    """

    cluster_key: str
    """Column of obs with the clusters or cell types that compositions are made of."""
    start: tuple[str, ...] | None = None
    """Labels of start_key whose cells walks start from; by default all cells."""
    start_key: str | None = None
    """Column of obs that start names labels of; by default cluster_key."""
    num_steps: int = 10
    """Steps of each walk."""
    num_walks: int = 1000
    """Walks; they start from the starting cells in turn, in random order."""
    time_key: str | None = None
    """Column of obs with time points, whose true compositions are given beside the steps."""
    time_order: tuple[str, ...] | None = None
    """Labels of the time points from early to late, if they are not numbers."""
    seed: int = 0
    """Seed of the walks and of their intervals. The same walk comes of the same seed, whatever the
    number of walks and steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "num_steps", "num_walks")
        require_at_least(self, 0, "seed")
