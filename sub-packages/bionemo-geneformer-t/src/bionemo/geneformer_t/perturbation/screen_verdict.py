"""What a screen found, in words: beside controls without a graph, and beside simple methods.

Discoveries are targets at q < 0.05 within a readout. Controls are the same screen with a model that
learned from shuffled successors, and with random weights: what these find as well is due to how
networks read ranks, and not to the graph. Baselines (ridge regression, correlation) are tested
against the same matched genes. There is no truth to say which of two rankings is right, so the
model is called no better than a baseline where it adds nothing to it: where four fifths of its
first 20 targets (by the size of z, with the same sign) are the baseline's first 20 too, or all of
its discoveries are the baseline's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.false_discoveries import AT_FDR, FDR
from bionemo.geneformer_t.perturbation.effect_tests import EffectTests
from bionemo.geneformer_t.perturbation.null_settings import LEAST_UNITS, NullSettings

HEADER = (
    "An in-silico screen shows what a model expects of cells that lack a gene or have more of it, "
    "and so which genes go together with a fate in its training cells. That is association: genes "
    "that merely mark a state score like genes that cause it. Only an experiment tells them apart."
)
NO_CONTROL = (
    "What a model without a graph would find is not known: run the same screen on controls "
    "(--controls)."
)
NOTHING_BEYOND = "The screen found nothing that a model without a graph would not"
_FIRST = 20
_SAME = 0.8
"""Fraction of the first targets that two rankings share from which on one adds nothing."""
_LEAST_TESTED = 2 * _FIRST
"""Targets below which the first 20 of two rankings are the same by chance too often."""


@dataclass(frozen=True, kw_only=True)
class Discoveries:
    """Targets at q < 0.05, of those that were tested, in each readout."""

    found: Int[ndarray, " readout"]
    tested: Int[ndarray, " readout"]

    @classmethod
    def of(cls, tests: EffectTests) -> "Discoveries":
        """Count them."""
        return cls(found=(tests.fdr < FDR).sum(axis=0), tested=np.isfinite(tests.fdr).sum(axis=0))

    @classmethod
    def of_column(cls, table: pd.DataFrame, column: str, readouts: Sequence[str]) -> "Discoveries":
        """Count them in a table of effects.

        Args:
            table: A row for each readout and target.
            column: With q-values.
            readouts: Which, in their order.
        """
        q_values = table[column].groupby(table["readout"].astype(str), sort=False)
        return cls(
            found=q_values.agg(lambda q: (q < FDR).sum())[list(readouts)].to_numpy(dtype=np.int64),
            tested=q_values.count()[list(readouts)].to_numpy(dtype=np.int64),
        )

    @property
    def share(self) -> Float[ndarray, " readout"]:
        """Discoveries divided by tests; 0 without tests."""
        return np.asarray(self.found / np.maximum(self.tested, 1))

    def text(self, readout: int) -> str:
        """`12 of 1,500 (0.8 %)`."""
        return (
            f"{self.found[readout]:,} of {self.tested[readout]:,} ({self.share[readout]:.1%})"
        ).replace("%", " %")


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How much two rankings of the same targets agree in one readout."""

    first: int
    """Targets at the top of each that are compared; 0 where too few were tested by both."""
    shared: int
    """Those of them that both have, with the same sign."""
    by_chance: float
    """Expected number of shared ones of unrelated rankings, signs included."""
    correlation: float
    """Spearman's, between the z-scores of all targets that both tested."""
    tested: int
    """Targets that both tested."""
    found: int
    """Discoveries of the model."""
    found_by_both: int
    """Those of them that the baseline has discovered with the same sign."""

    @property
    def adds_nothing(self) -> bool:
        """Whether the model's ranking adds nothing to the other."""
        is_same = self.first > 0 and self.shared >= _SAME * self.first
        return is_same or 0 < self.found == self.found_by_both

    @classmethod
    def of(cls, model: EffectTests, baseline: EffectTests, readout: int) -> "Overlap":
        """Compare two tests of the same targets."""
        from scipy.stats import spearmanr

        mine, theirs = model.z[:, readout], baseline.z[:, readout]
        both = np.isfinite(mine) & np.isfinite(theirs)
        number = int(both.sum())
        first = _FIRST if number >= _LEAST_TESTED else 0
        is_first = _first(mine, both, first) & _first(theirs, both, first)
        is_same = np.sign(mine) == np.sign(theirs)
        found = model.fdr[:, readout] < FDR
        differ = number > 2 and np.ptp(mine[both]) > 0 and np.ptp(theirs[both]) > 0
        return cls(
            first=first,
            shared=int((is_first & is_same).sum()),
            by_chance=first**2 / number / 2 if number else 0.0,
            correlation=float(spearmanr(mine[both], theirs[both]).statistic) if differ else np.nan,
            tested=number,
            found=int(found.sum()),
            found_by_both=int((found & (baseline.fdr[:, readout] < FDR) & is_same).sum()),
        )


@dataclass(frozen=True, kw_only=True)
class ScreenVerdict:
    """The sentences on a screen."""

    readouts: Sequence[str]
    model: Discoveries
    controls: Mapping[str, Discoveries]
    overlaps: Mapping[str, Sequence[Overlap]]
    """Name of a baseline -> one for each readout."""

    @classmethod
    def of(
        cls,
        readouts: Sequence[str],
        model: EffectTests,
        controls: Mapping[str, EffectTests],
        baselines: Mapping[str, EffectTests],
    ) -> "ScreenVerdict":
        """Of tests of the same targets and readouts.

        Args:
            readouts: Their names.
            model: The screen.
            controls: The same screen by models that know no graph, by name.
            baselines: Effects by simple methods, tested against the same matched genes, by name.
        """
        numbers = range(len(readouts))
        return cls(
            readouts=readouts,
            model=Discoveries.of(model),
            controls={name: Discoveries.of(tests) for name, tests in controls.items()},
            overlaps={
                name: [Overlap.of(model, tests, readout) for readout in numbers]
                for name, tests in baselines.items()
            },
        )

    @classmethod
    def of_table(
        cls, readouts: Sequence[str], table: pd.DataFrame, controls: Sequence[str]
    ) -> "ScreenVerdict":
        """Of a table of effects, which lacks the tests of baselines.

        Args:
            readouts: Their names.
            table: A row for each readout and target.
            controls: Whose columns of q-values the table has.
        """
        return cls(
            readouts=readouts,
            model=Discoveries.of_column(table, "fdr", readouts),
            controls={
                name: Discoveries.of_column(table, f"{name}_fdr", readouts) for name in controls
            },
            overlaps={},
        )

    @property
    def beyond_controls(self) -> Bool[ndarray, " readout"]:
        """Whether a screen found more than every control, and none of these too much."""
        found = self.model.found > 0
        for control in self.controls.values():
            found = found & (control.share <= FDR) & (self.model.found > control.found)
        return found

    @property
    def sentences(self) -> list[str]:
        """The header, what was found in each readout, and what simple methods would have found."""
        numbers = range(len(self.readouts))
        baselines = [
            (name, self._beside(name, readout)) for readout in numbers for name in self.overlaps
        ]
        lines = [HEADER, *map(self._found, numbers), *(text for _, text in baselines if text)]
        if few := dict.fromkeys(name for name, text in baselines if not text):
            lines.append(f"Too few targets to compare the model with {' and '.join(few)}.")
        return lines if self.controls else [*lines, NO_CONTROL]

    def _found(self, readout: int) -> str:
        name, counts = self.readouts[readout], self.model.text(readout)
        if not self.model.tested[readout]:
            return f"{name}: no target could be tested."
        beside = "; ".join(
            f"{control}: {found.text(readout)}" for control, found in self.controls.items()
        )
        text = f"{name}: {counts} targets at {AT_FDR}" + (f" ({beside})" if beside else "")
        if not self.model.found[readout]:
            return f"{text}. Nothing was found."
        if self.beyond_controls[readout]:
            return f"{text}."
        reasons = [
            f"{control} has {found.found[readout]:,}"
            + (f", more than {FDR:.0%}".replace("%", " %") if found.share[readout] > FDR else "")
            for control, found in self.controls.items()
            if found.share[readout] > FDR or found.found[readout] >= self.model.found[readout]
        ]
        return f"{text}. {NOTHING_BEYOND}: {' and '.join(reasons)}."

    def _beside(self, name: str, readout: int) -> str:
        """How the model compares with a simple method; nothing where that cannot be told."""
        own, what = self.overlaps[name][readout], self.readouts[readout]
        known = [
            f"{own.shared} of its first {own.first} targets are among the first {own.first} there, "
            f"with the same sign (by chance {own.by_chance:.1f})"
        ] if own.first else []  # fmt: skip
        if own.found:
            known.append(f"{own.found_by_both} of its {own.found} discoveries are made there too")
        if np.isfinite(own.correlation):
            known.append(f"rank correlation {own.correlation:.2f} over {own.tested:,} targets")
        if not known:
            return ""
        subject = f"the model is no better than {name}" if own.adds_nothing else f"beside {name}"
        return f"{what}, {subject}: {'; '.join(known)}."


def notes_on_tests(tests: EffectTests, settings: NullSettings, *, with_donors: bool) -> list[str]:
    """What p-values are about, and what was not tested, in sentences."""
    few = tests.cells < settings.min_cells
    unmatched = ~few & ~np.isfinite(tests.z).all(axis=1)
    notes = []
    if with_donors:
        units = int(tests.units.max(initial=0))
        least = (
            f"only {units} donors: no p-value over donors, which needs {LEAST_UNITS}; p-values "
            "compare with matched genes and are about these cells, not about further donors"
        )
        short = int(((tests.units < LEAST_UNITS) & np.isfinite(tests.z).any(axis=1)).sum())
        notes.append(least if units < LEAST_UNITS else f"units: {units:,} donors")
        if units >= LEAST_UNITS and short:
            notes.append(
                f"targets with fewer than {LEAST_UNITS} donors of {settings.min_donor_cells} "
                f"affected cells, and no p-value over donors: {short:,}"
            )
    else:
        notes.append("no donors are given: p-values are about these cells, not further donors")
    if few.any():
        notes.append(
            f"{int(few.sum()):,} of {len(few):,} targets do something in fewer than "
            f"{settings.min_cells} cells (min_cells): effects without rank and p-value"
        )
    if unmatched.any():
        notes.append(
            f"{int(unmatched.sum()):,} targets have too few matched genes, or matched genes whose "
            "effects do not differ: no p-value"
        )
    return notes


def _first(
    z: Float[ndarray, " target"], among: Bool[ndarray, " target"], number: int
) -> Bool[ndarray, " target"]:
    """The targets with the largest z of either sign."""
    size = np.where(among, np.abs(z), -1)
    found = np.zeros(len(z), dtype=bool)
    found[np.argsort(-size, kind="stable")[:number]] = True
    return found & among
