"""`geneformer-t rollout`: walks over the cells of an .h5ad, by the transitions that it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.fates.rollout_settings import ROLLOUT, RolloutSettings
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import pandas as pd

    from bionemo.geneformer_t.fates.find_rollout import Rollout

SHOWN = 12
"""Time points that are printed; an .h5ad has all."""


@dataclass(frozen=True, kw_only=True)
class RolloutCommandSettings(RolloutSettings):
    """Which walks over which cells, and where to write them.

    Raises:
        ValueError: An output has another ending, or a number is too small.
    """

    input: Path
    """An .h5ad with transition probabilities in obsp, as geneformer-t transitions writes it."""
    output: Path
    """The .csv to write, with one row for each source, step or time point, and cluster; or an
    .h5ad, a copy of the input with this table and the walks in uns. It can be the input file
    itself."""
    walks: Path | None = None
    """A .csv to write as well, with the cell of each walk at each step, and its cluster."""
    transitions_key: str = KEY
    """The transition matrix in obsp: cells x cells, current cells in rows, which sum to 1."""
    key_added: str = ROLLOUT
    """Where to write in uns of an .h5ad."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_key("key_added", self.key_added)
        if self.output.suffix not in {".csv", ".h5ad"}:
            raise ValueError(f"output must end in .csv or .h5ad; got {self.output}")
        if self.walks is not None and self.walks.suffix != ".csv":
            raise ValueError(f"walks must end in .csv; got {self.walks}")
        if self.walks == self.output:
            raise ValueError(f"walks and output must be two files; got {self.output} for both")


@command(RolloutCommandSettings)
def rollout(settings: RolloutCommandSettings) -> Path:
    """Walk from cell to cell by transition probabilities, and write the composition at each step.

    Every cell of a walk is a real one. Sampled compositions have 95 % intervals, by a bootstrap
    over starting cells; beside them are the exact compositions (powers of the matrix), those of
    walks to any candidate, of walks in either direction and of all cells, which tell what direction
    adds, and with `--time_key` the true ones of the later time points.
    """
    from bionemo.geneformer_t.counts.h5ad import backed_cells
    from bionemo.geneformer_t.files import require_writable, write_text
    from bionemo.geneformer_t.tl.rollouts import add_rollout

    require_writable(settings.output)
    if settings.walks is not None:
        require_writable(settings.walks)
    cells = backed_cells(settings.input, "input")
    found = add_rollout(cells, settings, settings.transitions_key, settings.key_added)
    _write(found, cells.uns[settings.key_added], settings)
    if settings.walks is not None:
        write_text(settings.walks, found.walk_table(cells.obs_names).to_csv(index=False))
    print(_report(found.table, found.clusters.names))
    for line in _times(found.times):
        print(line)
    for note in found.notes:
        print(f"note: {note}")
    print(settings.output)
    return settings.output


def _write(found: "Rollout", value: object, settings: RolloutCommandSettings) -> None:
    from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy
    from bionemo.geneformer_t.files import write_text

    if settings.output.suffix == ".csv":
        write_text(settings.output, found.table.to_csv(index=False, float_format="%.6g"))
        return
    key = settings.key_added
    with updated_copy(settings.input, settings.output, {"uns": (key,)}) as file:
        add_value(file, "uns", key, value)


def _report(table: "pd.DataFrame", names: tuple[str, ...]) -> str:
    """Per cent of each cluster at the first and the last step, and of the nulls at the last."""
    from bionemo.geneformer_t.fates.rollout_tables import (
        ALL_CELLS,
        ANY_CANDIDATE,
        EITHER_DIRECTION,
        EXACT,
        STOPPED,
        WALKS,
    )
    from bionemo.geneformer_t.table import Table, percent, span

    last = int(table["step"].max())
    of_steps = table[table["time"] == ""]
    keys = [of_steps[name] for name in ("source", "step", "measure", "cluster")]
    values = of_steps[["share", "low", "high"]].to_numpy()
    shares = dict(zip(zip(*keys, strict=True), values, strict=True))
    shown = [(WALKS, 0), (WALKS, last), (EXACT, last)]
    nulls = [(ANY_CANDIDATE, last), (EITHER_DIRECTION, last), (ALL_CELLS, last)]

    def row(name: str, measure: str, cluster: str) -> tuple[str, ...]:
        _, low, high = 100 * shares[WALKS, last, measure, cluster]
        places = [(*place, measure, cluster) for place in (*shown, *nulls)]
        first, walked, exact, *others = (
            percent(shares[place][0] if place in shares else None) for place in places
        )
        interval = span(low, high, 1)
        return name, first, walked, interval, exact, *others

    rows = [row(name, "cluster", name) for name in names]
    rows.append(row("in cells that cannot be left", STOPPED, ""))
    head = [
        ["% of walks", "start", f"step {last:,}", "95 % interval", "exact", "any", "either", "all"],
        ["", "", "", "", "", "candidate", "direction", "cells"],
    ]
    return Table(rows=rows, head=head).text()


def _times(times: "pd.DataFrame") -> list[str]:
    """A line for each time point, of the first ones where they are many."""
    lines = [
        f"{row['time']} ({row['cells']:,} cells): nearest is step {row['nearest_step']}, "
        f"{row['total_variation']:.3f} away (total variation; all cells together: "
        f"{row['total_variation_all_cells']:.3f})"
        for _, row in times.iloc[:SHOWN].iterrows()
    ]
    more = len(times) - SHOWN
    return [*lines, f"and {more:,} more time points"] if more > 0 else lines


if __name__ == "__main__":
    main(rollout)
