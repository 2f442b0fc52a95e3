"""A perturbation in a few lines for the terminal."""

from collections.abc import Iterator

import pandas as pd

from bionemo.geneformer_t.false_discoveries import AT_FDR, FDR
from bionemo.geneformer_t.perturbation.result import Perturbation

SHOWN = 10
"""Genes of each readout and sign that are printed; the table has all."""


def summary(found: Perturbation) -> str:
    """How many edited cells were read, the verdict, and for each readout which targets were found.

    The verdict counts discoveries; readouts that it is not about are counted here.
    """
    lines = [f"{found.num_contexts:,} edited cells were read, of {found.num_cells:,} cells"]
    lines += found.sentences
    for readout, rows in found.table.groupby("readout", sort=False):
        if readout not in found.verdict.readouts:
            tested = int(rows["p_value"].notna().sum())
            hits = int((rows["fdr"] < FDR).sum())
            found_of = f"{hits:,} of {tested:,} targets at {AT_FDR}"
            lines.append(f"{readout}: {found_of if tested else 'no target could be tested.'}")
        lines += _found(str(readout), rows[rows["fdr"] < FDR])
    return "\n".join(lines)


def _found(readout: str, rows: pd.DataFrame) -> Iterator[str]:
    for what, which in (("up", rows["effect"] > 0), ("down", rows["effect"] < 0)):
        hits = rows[which]
        names = [
            f"{symbol} ({effect:+.3g}, z {z:+.1f})"
            for symbol, effect, z in zip(hits["symbol"], hits["effect"], hits["z"], strict=True)
        ]
        if names:
            more = f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            yield f"{readout}, {what}: {', '.join(names[:SHOWN])}{more}"
