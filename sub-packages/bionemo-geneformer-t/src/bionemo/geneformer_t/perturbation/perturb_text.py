"""A perturbation in a few lines for the terminal."""

from collections.abc import Sequence

import pandas as pd

from bionemo.geneformer_t.perturbation.null_settings import FDR
from bionemo.geneformer_t.perturbation.perturb import Perturbation

SHOWN = 10
"""Genes of each readout and sign that are printed; the table has all."""


def summary(found: Perturbation) -> str:
    """For each readout, how many targets were found and which."""
    lines = [f"{found.num_contexts:,} edited cells were read, of {found.num_cells:,} cells"]
    for readout, rows in found.table.groupby("readout", sort=False):
        tested = int(rows["p_value"].notna().sum())
        hits = rows[rows["fdr"] < FDR]
        lines.append(
            f"{readout}: {len(hits):,} of {tested:,} tested targets at a false discovery rate of "
            f"{FDR:g}"
        )
        for what, which in (("up", hits["effect"] > 0), ("down", hits["effect"] < 0)):
            if which.any():
                lines.append(f"  {what}: {_listed(hits[which])}")
    return "\n".join(lines)


def _listed(rows: pd.DataFrame) -> str:
    names: Sequence[str] = [
        f"{symbol} ({effect:+.3g}, z {z:+.1f})"
        for symbol, effect, z in zip(rows["symbol"], rows["effect"], rows["z"], strict=True)
    ]
    return ", ".join(names[:SHOWN])
