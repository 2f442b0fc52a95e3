"""How terminal states are chosen; light, for the command line."""

from dataclasses import dataclass

from bionemo.geneformer_t.setting_values import Settings, require_at_least

FATES = "fates"
"""Where fates are, in `obsm` and `uns`."""
BY_CHOICE = "fates_by_choice"
"""Where the comparison of fates for several choices of terminal states is, in `uns`."""
TERMINAL = "terminal_state"
"""The column of obs with the terminal state of each cell; missing where it is in none."""
STEPS = "fate_steps"
"""The column of obs with the expected number of steps to a terminal state."""


@dataclass(frozen=True, kw_only=True)
class TerminalSettings(Settings):
    """How terminal states are chosen, beside the clusters that may be named.

    Raises:
        ValueError: A number is too small.
    """

    cluster_key: str | None = None
    """Column of obs with the cluster or cell type of each cell."""
    time_key: str | None = None
    """Column of obs with time points. With terminal, only cells of the last time point are
    terminal; without it, the clusters of the last time point are."""
    time_order: tuple[str, ...] | None = None
    """Labels of the time points from early to late, if they are not numbers."""
    min_cells: int = 10
    """Smallest number of cells of a terminal state that is not named."""
    horizon: float = 100.0
    """Number of steps, on average, over which clusters must gain cells and keep half of their own
    to be found as terminal states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "min_cells", "horizon")
