"""Driver genes (`gft.tl.drivers`) beside the effects of editing them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray


def with_drivers(
    table: pd.DataFrame, drivers: pd.DataFrame | None, fate_of_readout: Mapping[str, str]
) -> pd.DataFrame:
    """A table of effects with `driver_effect` and `driver_fdr` of `gft.tl.drivers` beside them.

    Args:
        table: One row for each readout and target, with `readout`, `target` and `symbol`; a target
            of one gene is found by its name, else by its symbol where that is of one gene.
        drivers: `uns["fate_drivers"]`; without it both columns are NaN.
        fate_of_readout: The fate that a readout is about; others have no drivers.
    """
    numbers = {name: np.full(len(table), np.nan) for name in ("driver_effect", "driver_fdr")}
    if drivers is None or not len(drivers):
        return table.assign(**numbers)
    fates = table["readout"].astype(str).map(fate_of_readout)
    for fate, own in drivers.groupby(drivers["fate"].astype(str), observed=True):
        here = np.flatnonzero(fates == fate)
        rows = _rows_of(table.iloc[here], own)
        matched = rows >= 0
        for column, source in (("driver_effect", "effect"), ("driver_fdr", "fdr")):
            numbers[column][here[matched]] = own[source].to_numpy(np.float64)[rows[matched]]
    return table.assign(**numbers)


def _rows_of(targets: pd.DataFrame, drivers: pd.DataFrame) -> Int[ndarray, " target"]:
    """The row of each target among drivers of one fate; -1 where there is none."""
    genes = drivers["gene"].astype(str)
    symbols = drivers["symbol"].astype(object)
    unique = symbols.notna() & (symbols != "") & ~symbols.duplicated(keep=False)
    by_gene = {gene: row for row, gene in enumerate(genes)}
    by_symbol = {str(symbols.iloc[row]): row for row in np.flatnonzero(unique)}
    pairs = zip(targets["target"].astype(str), targets["symbol"].astype(str), strict=True)
    rows = [by_gene.get(target, by_symbol.get(symbol, -1)) for target, symbol in pairs]
    return np.array(rows, dtype=np.int64)
