"""Tests of effects: each beside the effects of matched genes, and over donors where there are some.

`z = (effect - mean of the null) / its standard deviation`, where the null is the effects of matched
genes (`null_genes.py`), winsorised (`winsorised.py`), so that one gene alone cannot double the
spread. What p-value a z has is learned from the null itself (`null_shape.py`).

Where donors are known, the effect is the mean over donors of their mean over cells, for targets and
nulls alike. With four donors or more a second test asks whether the difference between a target and
its null is the same in all donors (Student's, one sample); the p-value is the larger of both. It
asks for both: more than matched genes do, and in every donor.

q-values are those of Benjamini and Hochberg, over the targets of a readout.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.perturbation.null_genes import NONE
from bionemo.geneformer_t.perturbation.null_settings import (
    LEAST_NULLS,
    LEAST_UNITS,
    NullSettings,
)
from bionemo.geneformer_t.perturbation.null_shape import NullShape, null_counts
from bionemo.geneformer_t.perturbation.winsorised import winsorised_moments

_NUMBERS = 1 << 22
"""Numbers of an array that is computed at once."""


@dataclass(frozen=True, kw_only=True)
class EffectTests:
    """Effects beside their nulls; NaN where too few cells, nulls or donors allow no number."""

    effect: Float[ndarray, "target readout"]
    """Mean over affected cells, or over donors; of every target, tested or not."""
    null_mean: Float[ndarray, "target readout"]
    null_sd: Float[ndarray, "target readout"]
    z: Float[ndarray, "target readout"]
    p_value: Float[ndarray, "target readout"]
    fdr: Float[ndarray, "target readout"]
    donor_p_value: Float[ndarray, "target readout"]
    """Of the test over donors, which `p_value` is not below."""
    cells: Int[ndarray, " target"]
    """In which the edit does something."""
    units: Int[ndarray, " target"]
    """Donors that count, or affected cells where there are no donors."""
    null_size: Int[ndarray, " target"]
    """Matched targets in the null."""
    shapes: list[NullShape]
    """Of the null of each readout."""


@dataclass(frozen=True, kw_only=True)
class DonorEffects:
    """Effects in each donor."""

    effects: Float[ndarray, "row donor readout"]
    """Mean over affected cells; NaN where there are too few of them."""

    @classmethod
    def of(
        cls,
        sums: Float[ndarray, "row group readout"],
        counts: Int[ndarray, "row group"],
        donors: Int[ndarray, " group"],
        settings: NullSettings,
    ) -> "DonorEffects":
        """Effects in donors, from sums over the affected cells of groups of cells.

        Args:
            sums: Of effects.
            counts: Affected cells.
            donors: The donor of each group, from 0.
            settings: Least number of cells of a donor.
        """
        member = (donors == np.arange(donors.max(initial=-1) + 1)[:, None]).astype(np.float64)
        cells = counts @ member.T
        means = np.einsum("rgo,dg->rdo", sums, member) / np.maximum(cells, 1)[..., None]
        return cls(effects=np.where((cells >= settings.min_donor_cells)[..., None], means, np.nan))

    @property
    def units(self) -> Int[ndarray, " row"]:
        """Donors that count."""
        return np.isfinite(self.effects).all(axis=2).sum(axis=1)

    @property
    def means(self) -> Float[ndarray, "row readout"]:
        """Mean over donors; NaN without any."""
        number = self.units[:, None]
        total = np.nansum(self.effects, axis=1)
        return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def effect_tests(
    effects: Float[ndarray, "row readout"],
    cells: Int[ndarray, " row"],
    nulls: Int[ndarray, "target null"],
    settings: NullSettings,
    *,
    donors: DonorEffects | None = None,
    num_tests: int | None = None,
) -> EffectTests:
    """Test the first rows, one for each row of `nulls`; further rows are null targets.

    Args:
        effects: Mean over affected cells; not read with `donors`. NaN for rows without any.
        cells: Affected cells of each row.
        nulls: The matched rows of each target, as `plan_nulls` chooses them; those that affect
            fewer than half of `min_cells` cells are left out.
        settings: Least numbers of cells.
        donors: Effects of all rows in donors, where donors are known.
        num_tests: How many targets these were chosen from by their effects, as by a screen; those
            that were not chosen count as tested with a p-value of 1. By default these are all.

    Raises:
        ValueError: `num_tests` is below the number of targets.
    """
    number = len(nulls)
    if num_tests is not None and num_tests < number:
        raise ValueError(f"num_tests must be at least the number of targets, {number:,}; "
                         f"got {num_tests:,}")  # fmt: skip
    values = effects if donors is None else donors.means
    moments = _against_nulls(values, cells, nulls, settings)
    p_value = np.full_like(moments.z, np.nan)
    for shape, z, own in zip(moments.shapes, moments.z.T, p_value.T, strict=True):
        own[:] = shape.p_values(z)
    of_donors = np.full(p_value.shape, np.nan)
    if donors is not None:
        of_donors = _donor_p_values(donors, nulls, moments.is_null)
        of_donors[~np.isfinite(p_value)] = np.nan
        p_value = np.where(np.isfinite(of_donors), np.maximum(p_value, of_donors), p_value)
    return EffectTests(
        effect=values[:number],
        null_mean=moments.mean,
        null_sd=moments.sd,
        z=moments.z,
        p_value=p_value,
        fdr=_fdr(p_value, num_tests or number),
        donor_p_value=of_donors,
        cells=cells[:number],
        units=cells[:number] if donors is None else donors.units[:number],
        null_size=moments.is_null.sum(axis=1),
        shapes=moments.shapes,
    )


@dataclass(frozen=True, kw_only=True)
class _Moments:
    mean: Float[ndarray, "target readout"]
    sd: Float[ndarray, "target readout"]
    z: Float[ndarray, "target readout"]
    is_null: Bool[ndarray, "target null"]
    """Which entries of `nulls` are used; targets x nulls."""
    shapes: list[NullShape]


def _against_nulls(
    values: Float[ndarray, "row readout"],
    cells: Int[ndarray, " row"],
    nulls: Int[ndarray, "target null"],
    settings: NullSettings,
) -> _Moments:
    """The null of each target, z, and the shape of all nulls of a readout.

    The shape is that of the effects of all targets that are in a null, each counted once: by its
    own z where it is tested itself, otherwise by how it stands in the nulls that it is in.
    """
    known = np.isfinite(values).all(axis=1) & (cells >= settings.least_null_cells)
    is_null = (nulls != NONE) & known[nulls]
    can_test = (cells[: len(nulls)] >= settings.min_cells) & (is_null.sum(axis=1) >= LEAST_NULLS)
    shape = (len(nulls), values.shape[1])
    mean, sd = np.full(shape, np.nan), np.full(shape, np.nan)
    counts = [null_counts(np.zeros(0)) for _ in range(shape[1])]
    tested = np.flatnonzero(can_test)
    is_further = is_null & ~np.append(can_test, np.zeros(len(values) - len(nulls), bool))[nulls]
    for some in _parts(tested, nulls.shape[1] * shape[1]):
        own = np.where(is_null[some, :, None], values[nulls[some]], np.nan)
        mean[some], sd[some] = winsorised_moments(own)
        sd[sd <= 0] = np.nan
        size = is_null[some].sum(axis=1)
        # a value in its own mean and spread is less far out than a further one would be
        scale = np.sqrt((size + 1) / np.maximum(size - 1, 1))[:, None, None]
        apart = (own - mean[some, None]) / sd[some, None] * scale
        for readout in range(shape[1]):
            counts[readout] += null_counts(apart[is_further[some], readout])
    z = (values[: len(nulls)] - mean) / sd
    used, further = (np.unique(nulls[tested][which[tested]]) for which in (is_null, is_further))
    both = np.setdiff1d(used, further)
    shapes = []
    for of_readout, own_z in zip(counts, z.T, strict=True):
        weight = len(further) / max(float(of_readout.sum()), 1.0)
        shapes.append(NullShape.fit(weight * of_readout + null_counts(own_z[both])))
    return _Moments(mean=mean, sd=sd, z=z, is_null=is_null, shapes=shapes)


def _donor_p_values(
    donors: DonorEffects, nulls: Int[ndarray, "target null"], is_null: Bool[ndarray, "target null"]
) -> Float[ndarray, "target readout"]:
    """One-sample tests over donors of the difference between a target and its null."""
    from scipy.stats import t

    parts, size = [], nulls.shape[1] * donors.effects[0].size
    for some in _parts(np.arange(len(nulls)), size):
        own = np.where(is_null[some, :, None, None], donors.effects[nulls[some]], np.nan)
        parts.append(donors.effects[some] - winsorised_moments(own)[0])
    apart = np.concatenate(parts)
    units = np.isfinite(apart).sum(axis=1)
    mean = np.nansum(apart, axis=1) / np.maximum(units, 1)
    squares = np.nansum((apart - mean[:, None]) ** 2, axis=1)
    error = np.sqrt(squares / np.maximum(units - 1, 1) / np.maximum(units, 1))
    statistic = np.divide(
        np.abs(mean), error, out=np.full(mean.shape, np.nan), where=error > 0
    )  # donors that agree to the bit say nothing of how donors differ
    return np.where(units >= LEAST_UNITS, 2 * t.sf(statistic, np.maximum(units - 1, 1)), np.nan)


def _parts(targets: Int[ndarray, " target"], each: int) -> list[Int[ndarray, " target"]]:
    """Targets in parts whose arrays, of so many numbers for each, have a limited size."""
    return np.array_split(targets, -(-len(targets) * each // _NUMBERS) or 1)


def _fdr(
    p_value: Float[ndarray, "target readout"], num_tests: int
) -> Float[ndarray, "target readout"]:
    """Q-values of those that are tested, beside those that a screen left out."""
    from scipy.stats import false_discovery_control

    found = np.full_like(p_value, np.nan)
    others = np.ones(num_tests - len(p_value))
    for own, q_value in zip(p_value.T, found.T, strict=True):
        known = np.isfinite(own)
        if known.any():
            q_value[known] = false_discovery_control(np.append(own[known], others))[: known.sum()]
    return found
