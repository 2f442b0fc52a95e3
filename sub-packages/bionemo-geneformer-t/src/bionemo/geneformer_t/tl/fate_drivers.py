"""`gft.tl.drivers`: the genes that go with each fate."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    require_place_for_results,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.false_discoveries import AT_FDR, FDR
from bionemo.geneformer_t.fates.driver_cells import DriverCells, driver_cells
from bionemo.geneformer_t.fates.driver_genes import LEAST_UNITS, DriverTests, driver_genes
from bionemo.geneformer_t.fates.driver_settings import DRIVERS, DriverSettings
from bionemo.geneformer_t.fates.strata import make_strata
from bionemo.geneformer_t.fates.terminal_settings import FATES
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)

SLIGHT = 0.05
"""Absolute effect below which a gene hardly tells fates apart, whatever its p-value."""
CIRCULAR = (
    "fates that were computed from the expression of these cells share its noise: a p-value says "
    "whether gene and fate go together within strata, not what causes the fate"
)


def drivers(
    adata: "anndata.AnnData",
    fate: str | Sequence[str] | None = None,
    *,
    cluster_key: str | Sequence[str] | None = None,
    donor_key: str | None = None,
    fates_key: str = FATES,
    key_added: str = DRIVERS,
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    min_cells: int = DriverSettings.min_cells,
    depth_bins: int = DriverSettings.depth_bins,
    num_permutations: int = DriverSettings.num_permutations,
    max_permutations: int = DriverSettings.max_permutations,
    seed: int = DriverSettings.seed,
) -> pd.DataFrame:
    """Find the genes whose rank value in a cell goes with the probability of a fate.

    The effect is the correlation (-1 to 1) of the fate probability with the rank of the gene's
    rank value among the cells of the same cluster and a similar depth. P-values come from
    permutations of the cells within these strata, and cannot be below
    1 / (1 + permutations). Name the donor or replicate where there are several: cells of one donor
    are not independent, and without it a p-value says nothing about further donors.

    What a p-value means: that the fate went together with the gene as strongly as in these cells,
    if cells of a stratum could be exchanged. It does not say that the gene causes the fate. Fates
    are computed from the expression of the same cells, so genes of every difference that the model
    sees within a cluster come out, such as those of time; give finer clusters, for example
    `cluster_key=("cell_type", "day")`, or fates from counts that are not tested here.

    Args:
        adata: Raw counts, and fate probabilities as `gft.tl.fates` writes them.
        fate: One or several fates; all by default.
        cluster_key: Column of obs with the clusters within which cells are compared; several
            columns for all combinations. By default all cells are one cluster, and whatever sets
            cell types apart comes out.
        donor_key: Column of obs with the donor or replicate, which is the unit then: cells are
            compared within donors, and the effect, their mean, is tested against its differences
            between donors. Below four donors there are effects and no p-values.
        fates_key: DataFrame of obsm with the fate probabilities.
        key_added: Where to write the table in uns.
        layer: Layer with the raw counts; X by default.
        use_raw: Take the counts from `raw` instead.
        round_counts: Round expected counts to the nearest whole number.
        min_cells: Cells, at least, that express a gene.
        depth_bins: Strata of depth (total counts) in each cluster.
        num_permutations: Permutations for every gene.
        max_permutations: Permutations, at most, for genes that few of the first exceed.
        seed: Seed of the permutations.

    Returns:
        One row for each fate and gene that enough cells express; fate by fate, the smallest
        p-values first. Columns: `fate`, `gene`, `symbol`, `effect`, `p_value`, `fdr`
        (Benjamini-Hochberg over all rows),
        `cells` (that express the gene, of those compared), `units` (donors, or cells without
        donors) and `permutations`. It is also written to `uns[key_added]`, and to
        `uns[key_added + "_params"]` the settings, the largest number of permutations
        (`num_permutations`), and `notes` on what was counted, left out or could not be tested.

    Raises:
        KeyError: No such fate, column, layer or array.
        TypeError: The fates are no DataFrame, or `adata` is no AnnData object.
        ValueError: The values are no raw counts, there is one fate only, donors are nested in
            clusters, fates differ between the cells of no stratum, or no gene can be tested.

    Example:
        >>> drivers = gft.tl.drivers(adata, cluster_key="cell_type", donor_key="donor")
        >>> drivers.head()
    """
    settings = DriverSettings(
        depth_bins=depth_bins,
        min_cells=min_cells,
        num_permutations=num_permutations,
        max_permutations=max_permutations,
        seed=seed,
    )
    limits = add_drivers(
        adata, fate, settings, cluster_key=cluster_key, donor_key=donor_key, fates_key=fates_key,
        key_added=key_added, layer=layer, use_raw=use_raw, round_counts=round_counts,
    )  # fmt: skip
    for note in adata.uns[f"{key_added}_params"]["notes"]:
        logger.log(logging.WARNING if note in limits else logging.INFO, "%s", note)
    table: pd.DataFrame = adata.uns[key_added]
    return table


def add_drivers(
    adata: "anndata.AnnData",
    fate: str | Sequence[str] | None,
    settings: DriverSettings,
    *,
    cluster_key: str | Sequence[str] | None,
    donor_key: str | None,
    fates_key: str,
    key_added: str,
    layer: str | None,
    use_raw: bool,
    round_counts: bool,
) -> list[str]:
    """Write the table of driver genes and what there is to say of it to `uns`, and log nothing.

    Args, errors: as `drivers`.

    Returns:
        Those of the notes that say what the tests cannot tell.
    """
    require_place_for_results(adata)
    require_key("key_added", key_added)
    if fates_key not in adata.obsm:
        raise KeyError(
            f"fates_key: obsm has no {fates_key!r}, which gft.tl.fates writes; it has: "
            f"{', '.join(adata.obsm) or 'none'}"
        )
    cells = driver_cells(
        adata.obs, adata.obsm[fates_key], fate, cluster_key=cluster_key, donor_key=donor_key
    )
    source = anndata_source(
        adata, layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER
    )
    values, depth = _rank_values(source, cells.rows)
    strata = make_strata(cells.clusters, cells.donors, depth, settings.depth_bins)
    with Progress("permuting", settings.max_permutations, "permutation") as bar:
        tests = driver_genes(
            values, cells.fates, strata, settings,
            with_donors=cells.donors is not None, on_permutations=bar.update,
        )  # fmt: skip
    if not np.isfinite(tests.effect).any():
        raise ValueError(
            f"no gene can be tested: none is expressed in {settings.min_cells} or more of the "
            f"{len(cells.rows):,} cells that are compared (min_cells) and differs between cells of "
            "a stratum. Lower min_cells, give more cells, or name coarser clusters"
        )
    table = _table(tests, cells, source)
    limits = list(_limits(tests, cells, clustered=cluster_key is not None))
    read = source.notes_on_rounding
    notes = [*read, *_notes(tests, cells, source, settings), *limits, CIRCULAR]
    adata.uns[key_added] = table
    adata.uns[f"{key_added}_params"] = {
        "cluster_key": [cluster_key] if isinstance(cluster_key, str) else list(cluster_key or ()),
        "donor_key": donor_key or "",
        "fates_key": fates_key,
        "layer": "X" if layer is None else layer,
        "use_raw": use_raw,
        "round_counts": round_counts,
        "min_cells": settings.min_cells,
        "depth_bins": settings.depth_bins,
        "seed": settings.seed,
        "num_permutations": int(tests.permutations.max()),
        "notes": np.array(notes, dtype=object),
    }
    return limits


def _rank_values(
    source: CountSource, rows: Int[ndarray, " cell"]
) -> tuple[sp.csr_array, Float[ndarray, " cell"]]:
    """Count / total count of some cells, and their totals.

    Divided, not multiplied with the reciprocal, so that equal fractions are equal numbers.
    """
    parts = []
    with row_wise(source) as whole:
        for block in whole.blocks():
            first, last = np.searchsorted(
                rows, (block.first_row, block.first_row + block.counts.shape[0])
            )
            parts.append(block.counts[rows[first:last] - block.first_row].astype(np.float64))
    values = sp.csr_array(sp.vstack(parts))
    depth = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
    values.data /= np.repeat(depth, np.diff(values.indptr))
    return values, depth


def _table(tests: DriverTests, cells: DriverCells, source: CountSource) -> pd.DataFrame:
    fate, gene = np.nonzero(np.isfinite(tests.effect))
    names = source.var_names or source.gene_names
    table = pd.DataFrame(
        {
            "fate": np.array(cells.names, dtype=object)[fate],
            "gene": np.array(names, dtype=object)[gene],
            "symbol": np.array(source.genes.readable, dtype=object)[gene],
            **{
                name: getattr(tests, name)[fate, gene]
                for name in ("effect", "p_value", "fdr", "cells", "units", "permutations")
            },
        }
    )
    order = np.lexsort((-np.abs(table["effect"]), table["p_value"], fate))
    table = table.iloc[order].reset_index(drop=True)
    table.index = table.index.astype(str)  # as .h5ad holds it
    return table


def _notes(
    tests: DriverTests,
    cells: DriverCells,
    source: CountSource,
    settings: DriverSettings,
) -> Iterator[str]:
    """What was compared, and how finely."""
    number, unit = _units(cells)
    yield f"units: {number:,} {unit}"
    for name, compared in zip(cells.names, tests.compared, strict=True):
        yield (
            f"{name}: {compared:,} of {len(cells.rows):,} cells are in strata whose cells differ "
            "in this fate"
        )
    yield from cells.notes
    counted = source.genes.is_counted
    untested = counted & ~np.isfinite(tests.effect).any(axis=0)
    yield (
        f"{int(untested.sum()):,} of {int(counted.sum()):,} genes are expressed in fewer than "
        f"{settings.min_cells} of these cells, or equally in all, and are not tested"
    )
    if (most := int(tests.permutations.max())) > 0:
        yield f"the least possible p-value is {1 / (1 + most):.2g}, 1 / (1 + permutations)"


def _limits(tests: DriverTests, cells: DriverCells, *, clustered: bool) -> Iterator[str]:
    """What these tests cannot say: of these a user is warned."""
    number, _ = _units(cells)
    if cells.donors is None:
        yield "no donors are given: p-values are about these cells, not about further donors"
    elif number < LEAST_UNITS:
        yield f"{number} donors are too few for p-values, which need {LEAST_UNITS}; effects alone"
    else:
        few = np.isfinite(tests.effect) & ~np.isfinite(tests.p_value)
        if few.any():
            yield f"{int(few.sum()):,} effects are of fewer than {LEAST_UNITS} donors: no p-value"
    slight = (tests.fdr < FDR) & (np.abs(tests.effect) < SLIGHT)
    if slight.any():
        found = ", ".join(
            f"{int(few.sum()):,} of {int((rates < FDR).sum()):,} for {name}"
            for name, few, rates in zip(cells.names, slight, tests.fdr, strict=True)
            if few.any()
        )
        yield (
            f"of the genes at {AT_FDR}, {found} have an effect below {SLIGHT:g}: they vary among "
            "cells whose fates are nearly the same, and hardly tell cells' fates apart"
        )
    if not clustered:
        yield "no clusters are given: what sets cell types apart is not told from drivers"


def _units(cells: DriverCells) -> tuple[int, str]:
    if cells.donors is not None:
        return len(np.unique(cells.donors)), "donors"
    return len(cells.rows), "cells"
