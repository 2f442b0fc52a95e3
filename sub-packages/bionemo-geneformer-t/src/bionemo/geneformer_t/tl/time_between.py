"""`gft.tl.time_between`: how long is it from one cell of an AnnData object to another?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.in_memory import BY_LAYER, anndata_source
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.checkpoint import trained_model
from bionemo.geneformer_t.inference.gap_between import gaps_between
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.some_names import some_names

if TYPE_CHECKING:
    import anndata

INTERVAL = (0.025, 0.975)
"""Levels of the interval of a time."""


def time_between(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    current: Sequence[str],
    later: Sequence[str],
    *,
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts,
) -> pd.DataFrame:
    """How long is it from one cell to another, if the second is a later state of the first?

    The answer is the time gap under which the later cell is likeliest, among the gaps that the
    model was trained on. It always has one: whether the second cell is a later state of the first
    at all is a question for `gft.tl.transitions`.

    Args:
        adata: Raw counts in X, in a layer or in raw.
        model: A model that was trained with `time_gap_key`, or the path of its checkpoint.
        current: Names of cells.
        later: Names of as many cells, one for each of `current`.
        layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        round_counts: Round expected counts to the nearest whole number.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.

    Returns:
        One row for each pair: `current`, `later`, `time` (the median of what is probable), `low`
        and `high` (the interval with 95 % of the probability) and `most_probable`, in the unit that
        `attrs["unit"]` says.

    Raises:
        FileNotFoundError: No such checkpoint.
        KeyError: A name is no cell of `adata`; there is no such layer, or no raw.
        ValueError: The model was trained without gaps, `current` and `later` differ in length, a
            name is that of several cells, a cell has no known gene, the values are no raw counts,
            or the genes are not the model's.

    Example:
        >>> model = gft.tl.train(
        ...     adata, recipe="auto", time_gap_key="steps", successor_steps=4
        ... )
        >>> first, last = adata.obs_names[[0, -1]]
        >>> gft.tl.time_between(adata, model, [first], [last])
    """
    if len(current) != len(later):
        raise ValueError(
            f"later must name one cell for each of current; got {len(current)} and {len(later)}"
        )
    trained = trained_model(model)
    trained.required_gaps()
    rows = _rows_of(adata, [*current, *later])
    used, places = np.unique(rows, return_inverse=True)
    source = anndata_source(
        adata[used], layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER
    )
    with row_wise(source) as counts:
        reader = CellReader(trained, counts, min_mapped_counts)
        read = [cell for block in reader.blocks() for cell in block.rows()]
    cells = Ragged.of(read).truncated(genes_per_cell(trained))
    with Progress("comparing", len(current), "pair") as bar:
        found = gaps_between(
            trained,
            cells.take(places[: len(current)]),
            cells.take(places[len(current) :]),
            on_cells=bar.update,
        )
    low, high = map(found.quantile, INTERVAL)
    table = pd.DataFrame(
        {
            "current": list(current),
            "later": list(later),
            "time": found.median,
            "low": low,
            "high": high,
            "most_probable": found.most_probable,
        }
    )
    table.attrs["unit"] = found.unit
    return table


def _rows_of(adata: "anndata.AnnData", names: Sequence[str]) -> Int[ndarray, " name"]:
    """The row of each named cell."""
    wanted = set(names)
    repeated = set(adata.obs_names[adata.obs_names.duplicated()]) & wanted
    if repeated:
        raise ValueError(
            f"several cells are called {some_names(repeated)}; make obs_names unique first: "
            "adata.obs_names_make_unique()"
        )
    unknown = [name for name in dict.fromkeys(names) if name not in adata.obs_names]
    if unknown:
        raise KeyError(f"no cells of adata are called {some_names(unknown)}")
    rows: ndarray = adata.obs_names.get_indexer(pd.Index(names))
    return rows
