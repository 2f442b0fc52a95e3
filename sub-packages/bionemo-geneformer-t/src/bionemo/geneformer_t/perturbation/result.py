"""What a perturbation has found, and its places in an AnnData object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bionemo.geneformer_t.perturbation.perturb_run import Tested
from bionemo.geneformer_t.perturbation.screen_recall import ScreenRecall
from bionemo.geneformer_t.perturbation.screen_verdict import ScreenVerdict
from bionemo.geneformer_t.perturbation.seed_agreement import SeedAgreement

TABLES = ("", "_by_cluster", "_params", "_estimates", "_notes", "_verdict", "_ranks")
"""Ends of the keys that a perturbation may write to `uns`; the key alone is the table's."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """What was found."""

    table: pd.DataFrame
    """One row a readout and target that was asked for."""
    by_cluster: pd.DataFrame
    """One row a readout, target and cluster."""
    estimates: pd.DataFrame | None
    """Of a screen: one row a readout and gene, for all genes."""
    found: Tested
    controls: Mapping[str, Tested]
    readouts: tuple[str, ...]
    in_cells: Mapping[str, pd.DataFrame]
    """With `with_cells`: effects of cells x targets by readout; NaN where there is none."""
    ranks: pd.DataFrame | None
    """With `with_ranks`: mean changes of expected normalised ranks, genes x targets."""
    num_cells: int
    """Cells that were edited."""
    num_contexts: int
    """Edited cells that the network read, over all targets."""
    verdict: ScreenVerdict
    recall: ScreenRecall | None
    """Of a screen."""
    params: Mapping[str, Any]
    """The fingerprint of the model, and what was edited in which cells."""
    agreement: SeedAgreement | None
    """With `seeds`."""
    notes: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """The verdict, and whether seeds agree."""
        agreement = [] if self.agreement is None else [self.agreement.sentence(self.readouts)]
        recall = [] if self.recall is None else [self.recall.sentence(self.readouts)]
        return [*recall, *self.verdict.sentences, *agreement]

    def entries(
        self, key: str, notes: Sequence[str], params: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """What an AnnData object holds of it: group -> key -> value.

        Args:
            key: What the keys begin with.
            notes: What there is to say about it.
            params: Further parameters, such as where counts were read.
        """
        uns: dict[str, Any] = {key: self.table, f"{key}_by_cluster": self.by_cluster}
        uns[f"{key}_params"] = {**self.params, **params}
        if self.estimates is not None:
            uns[f"{key}_estimates"] = self.estimates
        uns[f"{key}_notes"] = np.array(notes, dtype=object)
        uns[f"{key}_verdict"] = np.array(self.sentences, dtype=object)
        if self.ranks is not None:
            uns[f"{key}_ranks"] = self.ranks
        obsm = {f"{key}: {name}": table for name, table in self.in_cells.items()}
        return {"uns": uns, "obsm": obsm}
