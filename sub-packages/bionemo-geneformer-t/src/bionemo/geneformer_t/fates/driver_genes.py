"""Driver genes: genes whose rank value in a cell goes with the probability of a fate.

The effect is a correlation between -1 and 1: of the fate probability with the rank of the gene's
rank value (count / total count; its median is the same in all cells) among the cells of the same
stratum, both centred within strata. Strata are cells of one cluster with similar depth, and of one
donor where donors are known; the effect is then the mean over donors.

P-values come from permutations of the cells within strata, of the effect divided by its standard
error. Without donors this is the error over cells, which is right also where a gene goes with the
spread of a fate and not with its mean (DiCiccio and Romano, J. Am. Stat. Assoc. 112, 2017). With
donors it is the error over donors: the donor is the unit, and an effect in one donor alone is none.

All genes get the first permutations; those that few of these exceed get more (Besag and Clifford,
Biometrika 78, 1991). `p = (1 + exceeding) / (1 + permutations)` is then valid at every number of
permutations, and cannot be below 1 / (1 + permutations).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.driver_settings import DriverSettings
from bionemo.geneformer_t.fates.strata import (
    Strata,
    StratumRanks,
    centred,
    permuted,
    stratum_ranks,
)

LEAST_UNITS = 4
"""Donors (or cells) below which there are no p-values."""
_EXCEEDING = 10
"""Permutations that exceed a statistic after which it gets no more of them."""
_GROWTH = 4
"""Factor by which the number of permutations grows from stage to stage."""
_LEAST_RANGE = 1e-6
"""Range of a fate's probabilities in a stratum below which they count as equal."""
_ROUNDING = 1e-5
"""Relative error of a statistic in 32 bits; permutations that are so close count as exceeding."""
_LEAST_VARIANCE = 1e-10
_NUMBERS = 1 << 22
"""Numbers of an array that is computed at once."""


@dataclass(frozen=True, kw_only=True)
class DriverTests:
    """Effects of all genes on all fates; NaN where a gene was not compared."""

    effect: Float[ndarray, "fate gene"]
    p_value: Float[ndarray, "fate gene"]
    """NaN as well where there are fewer than `LEAST_UNITS` units."""
    fdr: Float[ndarray, "fate gene"]
    """By Benjamini and Hochberg, over all genes and fates together."""
    permutations: Int[ndarray, "fate gene"]
    """How many the p-value is from."""
    cells: Int[ndarray, "fate gene"]
    """Cells that express the gene, of those that are compared."""
    units: Int[ndarray, "fate gene"]
    """Donors that are compared, or cells where there are no donors."""
    compared: Int[ndarray, " fate"]
    """Cells in strata where the fate differs between cells."""


def driver_genes(
    values: sp.csr_array,
    fates: Float[ndarray, "cell fate"],
    strata: Strata,
    settings: DriverSettings,
    *,
    with_donors: bool,
    on_permutations: Callable[[int], Any] = lambda _: None,
) -> DriverTests:
    """Test each gene against each fate.

    Args:
        values: Rank values, cells x genes, not negative.
        fates: Probabilities, without NaN.
        strata: Of these cells.
        settings: How to test.
        with_donors: Whether the donor is the unit.
        on_permutations: Called with a number of permutations whenever these are done.

    Raises:
        ValueError: No fate differs between the cells of any stratum.
    """
    from scipy.stats import false_discovery_control

    data = _Data.of(values, fates, strata, with_donors=with_donors)
    effect, statistic = _observed(data)
    is_compared = (data.cells >= settings.min_cells) & (data.donors > 0)
    units = data.donors if with_donors else np.where(is_compared, data.compared[:, None], 0)
    can_test = is_compared & (units >= LEAST_UNITS)
    p_value, permutations = _p_values(data, statistic, can_test, settings, on_permutations)
    fdr = np.full_like(p_value, np.nan)
    fdr[can_test] = false_discovery_control(p_value[can_test]) if can_test.any() else np.nan
    return DriverTests(
        effect=np.where(is_compared, effect, np.nan),
        p_value=p_value,
        fdr=fdr,
        permutations=permutations,
        cells=data.cells,
        units=units,
        compared=data.compared,
    )


@dataclass(frozen=True, kw_only=True)
class _Statistics:
    effect: Float[ndarray, "fate permutation gene"]
    statistic: Float[ndarray, "fate permutation gene"]
    """The effect divided by its standard error, without sign."""


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Ranks and fates, centred, of the cells in strata where any fate differs between cells."""

    strata: Strata
    ranks: StratumRanks
    fates: Float[ndarray, "fate cell"]
    """0 in strata where the fate does not differ."""
    scale: Float[ndarray, "donor fate gene"]
    """Product of the norms of ranks and fates, over the strata where the fate differs."""
    cells: Int[ndarray, "fate gene"]
    compared: Int[ndarray, " fate"]
    with_donors: bool

    @classmethod
    def of(
        cls,
        values: sp.csr_array,
        fates: Float[ndarray, "cell fate"],
        strata: Strata,
        *,
        with_donors: bool,
    ) -> "_Data":
        given, first = fates[strata.order], strata.starts[:-1]
        spread = np.maximum.reduceat(given, first) - np.minimum.reduceat(given, first)
        varies = np.asarray(spread > _LEAST_RANGE)
        if not varies.any():
            raise ValueError(
                "the fates do not differ between the cells of any stratum (a cluster's cells of "
                "similar depth), so that no gene can go with them; name coarser clusters"
            )
        says_something = np.asarray(varies.any(axis=1))
        strata, varies = strata.only(says_something), varies[says_something]
        of_cell = varies[strata.of_cell].astype(np.float64)
        own = centred(fates[strata.order], strata) * of_cell
        chosen = sp.csc_array(values[strata.order])
        ranks = stratum_ranks(chosen, strata)
        squared, scale = own * own, []
        for donor in strata.donors:
            here = strata.donor == donor
            fate_norms = squared[strata.cells_of(donor)].sum(axis=0)
            scale.append((ranks.squares[here].T @ varies[here] * fate_norms).T)
        return cls(
            strata=strata,
            ranks=ranks,
            fates=np.ascontiguousarray(own.T, dtype=np.float32),
            scale=np.sqrt(np.array(scale), dtype=np.float32),
            cells=np.rint(of_cell.T @ (chosen > 0)).astype(np.int64),
            compared=np.rint(of_cell.sum(axis=0)).astype(np.int64),
            with_donors=with_donors,
        )

    @property
    def donors(self) -> Int[ndarray, "fate gene"]:
        """Donors in which gene and fate differ between cells of a stratum."""
        return np.asarray((self.scale > 0).sum(axis=0))

    def statistics(
        self,
        genes: Int[ndarray, " gene"],
        permutations: Int[ndarray, "permutation cell"],
        ranks: Float[ndarray, "cell gene"] | None = None,
    ) -> _Statistics:
        """Effects and statistics of some genes, the cells' fates being permuted.

        Args:
            genes: Which genes.
            permutations: One a row.
            ranks: Of these genes; made here if they are not at hand.
        """
        if ranks is None:
            ranks = self.ranks.dense(genes, self.strata)
        shape = (len(self.fates), len(permutations), len(genes))
        total, squares = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
        for donor, scale in zip(self.strata.donors, self.scale[:, :, genes], strict=True):
            cells = self.strata.cells_of(donor)
            own = ranks[cells]
            fates = np.take(self.fates, permutations[:, cells], axis=1)
            fates = fates.reshape(-1, fates.shape[-1])
            there = (scale > 0)[:, None]
            norm = np.where(there, scale[:, None], np.inf)
            effect = (fates @ own).reshape(shape) / norm
            total += effect
            if self.with_donors:
                squares += effect * effect
            else:
                squares += (fates * fates @ (own * own)).reshape(shape) / norm**2
        number = self.donors[:, None, genes]
        mean = total / np.maximum(number, 1)
        if self.with_donors:
            squares = (squares / np.maximum(number, 1) - mean * mean) / np.maximum(number - 1, 1)
        return _Statistics(
            effect=mean, statistic=np.abs(mean) / np.sqrt(np.maximum(squares, _LEAST_VARIANCE))
        )


def _p_values(
    data: _Data,
    observed: Float[ndarray, "fate gene"],
    can_test: Bool[ndarray, "fate gene"],
    settings: DriverSettings,
    on_permutations: Callable[[int], Any],
) -> tuple[Float[ndarray, "fate gene"], Int[ndarray, "fate gene"]]:
    """P-values by stages, each of which goes on with what few permutations have exceeded."""
    rng = np.random.default_rng(settings.seed)
    exceeding = np.zeros(observed.shape, dtype=np.int64)
    number = np.zeros(observed.shape, dtype=np.int64)
    limit = (observed * (1 - _ROUNDING))[:, None]
    active, done = can_test, 0
    for stage in _stages(settings):
        genes = np.flatnonzero(active.any(axis=0))
        if not len(genes):
            break
        blocks = _blocks(data, genes)
        ranks = data.ranks.dense(genes, data.strata) if len(blocks) == 1 else None
        for permutations in _chunks(data, stage - done, rng):
            for block in blocks:
                found = data.statistics(block, permutations, ranks).statistic >= limit[..., block]
                exceeding[:, block] += found.sum(axis=1) * active[:, block]
            on_permutations(len(permutations))
        number[active] = done = stage
        active = active & (exceeding < _EXCEEDING)
    return np.where(can_test, (1 + exceeding) / (1 + number), np.nan), number


def _observed(data: _Data) -> tuple[Float[ndarray, "fate gene"], Float[ndarray, "fate gene"]]:
    """Effect and statistic of every gene."""
    as_given = np.arange(len(data.strata.order))[None]
    found = [
        data.statistics(block, as_given) for block in _blocks(data, np.arange(data.scale.shape[-1]))
    ]
    effect = np.concatenate([part.effect[:, 0] for part in found], axis=1)
    return effect, np.concatenate([part.statistic[:, 0] for part in found], axis=1)


def _blocks(data: _Data, genes: Int[ndarray, " gene"]) -> list[Int[ndarray, " gene"]]:
    """Genes in blocks whose arrays have a limited size."""
    fates, cells = data.fates.shape
    each = max(cells, fates * _at_once(data))
    return np.array_split(genes, -(-len(genes) * each // _NUMBERS))


def _stages(settings: DriverSettings) -> Iterator[int]:
    """Permutations in all at the end of each stage."""
    number = settings.num_permutations
    while number < settings.max_permutations:
        yield number
        number *= _GROWTH
    yield settings.max_permutations


def _chunks(
    data: _Data, number: int, rng: np.random.Generator
) -> Iterator[Int[ndarray, "permutation cell"]]:
    size = _at_once(data)
    for start in range(0, number, size):
        yield permuted(data.strata, min(size, number - start), rng)


def _at_once(data: _Data) -> int:
    """Permutations that are made at once."""
    return int(np.clip(_NUMBERS // data.fates.size, 1, 256))
