"""`geneformer-t drivers`: the genes that go with each fate, as a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.false_discoveries import AT_FDR, FDR
from bionemo.geneformer_t.fates.driver_settings import DRIVERS, DriverSettings
from bionemo.geneformer_t.fates.terminal_settings import FATES
from bionemo.geneformer_t.run.command import command, main

if TYPE_CHECKING:
    import anndata
    import pandas as pd

SHOWN = 10
"""Genes that are printed for each fate and sign, of those with a q-value below `FDR`; the table has
all."""
_PARAMS = f"{DRIVERS}_params"


@dataclass(frozen=True, kw_only=True)
class DriversSettings(DriverSettings):
    """What to test, and where to write it.

    Raises:
        ValueError: The output is neither .csv nor .h5ad, or a number is too small.
    """

    input: Path
    """An .h5ad with raw counts, and with fate probabilities as `geneformer-t fates` writes them."""
    output: Path
    """The .csv to write, with one row for each fate and gene; or an .h5ad, a copy of the input with
    this table, its settings and notes in uns. It can be the input file itself."""
    fate: tuple[str, ...] = ()
    """One or several fates; by default all."""
    cluster_key: tuple[str, ...] = ()
    """Column of obs with the clusters within which cells are compared; several columns for all
    combinations of their labels."""
    donor_key: str | None = None
    """Column of obs with the donor or replicate, which is then the unit of the test."""
    fates_key: str = FATES
    """Table of obsm with the fate probabilities."""
    layer: str | None = None
    """Layer with the raw counts; by default X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X."""
    round_counts: bool = False
    """Round expected counts to the nearest whole number."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix not in {".csv", ".h5ad"}:
            raise ValueError(f"output must end in .csv or .h5ad; got {self.output}")


@command(DriversSettings)
def drivers(settings: DriversSettings) -> Path:
    """Write a table of the genes whose rank value in a cell goes with the probability of a fate.

    The effect is a correlation within strata: cells of one cluster with similar depth, and of one
    donor with `--donor_key`. P-values come from permutations within strata; with donors, the donor
    is the unit, and below four donors there are effects and no p-values. Genes are counted and
    named as found at q < 0.05 (false discovery rate), as by `perturb`; the table has all.
    """
    from bionemo.geneformer_t.counts.h5ad import backed_cells
    from bionemo.geneformer_t.files import require_writable
    from bionemo.geneformer_t.tl.fate_drivers import add_drivers

    require_writable(settings.output)
    cells = backed_cells(settings.input, "input")
    add_drivers(
        cells, settings.fate or None, settings, cluster_key=settings.cluster_key or None,
        donor_key=settings.donor_key, fates_key=settings.fates_key, key_added=DRIVERS,
        layer=settings.layer, use_raw=settings.use_raw, round_counts=settings.round_counts,
    )  # fmt: skip
    _write(cells, settings)
    for note in cells.uns[_PARAMS]["notes"]:
        print(f"note: {note}")
    print(_report(cells.uns[DRIVERS]))
    print(settings.output)
    return settings.output


def _write(cells: "anndata.AnnData", settings: DriversSettings) -> None:
    from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy
    from bionemo.geneformer_t.files import write_text

    if settings.output.suffix == ".csv":
        table = cells.uns[DRIVERS]
        write_text(settings.output, table.to_csv(index=False, float_format="%.6g"))
        return
    written = (DRIVERS, _PARAMS)
    with updated_copy(settings.input, settings.output, {"uns": written}) as file:
        for name in written:
            add_value(file, "uns", name, cells.uns[name])


def _report(table: "pd.DataFrame") -> str:
    """For each fate the genes that go with it, and against it."""
    lines = []
    for fate, rows in table.groupby("fate", sort=False):
        found = rows[rows["fdr"] < FDR]
        toward, against = found[found["effect"] > 0], found[found["effect"] < 0]
        lines.append(
            f"{fate}: {len(toward):,} genes go with it and {len(against):,} against it at "
            f"{AT_FDR} (false discovery rate), of {len(rows):,}"
        )
        for what, which in (("with", toward), ("against", against)):
            if len(which):
                shown = (
                    f"{s} ({e:+.2f})" for s, e in zip(which["symbol"], which["effect"], strict=True)
                )
                lines.append(f"  {what}: {', '.join(list(shown)[:SHOWN])}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(drivers)
