"""The checkpoint that a run resumes from: read once, and compared with settings and data.

A checkpoint has fingerprints of the training cells, their graph and the vocabulary. A run resumes
on the same data or not at all: with other data batches would have other cells, and token ids would
be other genes.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.training.resume_settings import check_settings
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint of a run, and what is in it."""

    path: Path
    content: Mapping[str, Any]
    """As `training.checkpoint_files.read_intact` returns it."""

    @property
    def steps(self) -> int:
        """Optimizer steps before it."""
        return int(self.content["global_step"])

    def config(self) -> BioBertConfig:
        """The sizes of its model.

        Raises:
            ValueError: They are not those of its weights.
        """
        from bionemo.geneformer_t.model.weight_checks import check_sizes_of, naming

        with naming(self.path):
            check_sizes_of(self.content)
        return BioBertConfig.from_dict(self.content["hyper_parameters"]["config"])

    def check_settings(self, settings: TrainSettings) -> None:
        """Refuse settings that a run cannot change at this checkpoint.

        Checkpoints of earlier versions have no settings; they pass, and the log says so.

        Raises:
            ValueError: Names the settings and both values.
        """
        from bionemo.geneformer_t.training.checkpointing import RunCheckpoints

        saved = self.content.get("callbacks", {}).get(RunCheckpoints.__qualname__, {})
        if not saved.get("settings"):
            logger.warning("%s has no record of the settings of its training", self.path)
            return
        check_settings(
            saved["settings"],
            settings.to_plain(),
            where=str(self.path),
            batches_done=saved["batch"],
        )

    def check_data(self, data: "TemporalGeneformerDataModule") -> None:
        """Refuse data other than those that the run began with.

        Checkpoints without a record of their data pass.

        Raises:
            ValueError: Names what differs.
        """
        from bionemo.geneformer_t.data.fingerprints import are_same_cells
        from bionemo.geneformer_t.model.checkpoint_contents import checkpoint_entry

        entry, found = checkpoint_entry(self.content), []
        if entry.get("vocab") is not None:
            found += _vocab_differences(GeneVocab.from_dict(entry["vocab"]), data.vocab)
        if entry.get("provenance") is not None:
            before, now = Provenance.from_dict(entry["provenance"]), data.provenance
            if are_same_cells(before.data_fingerprint, data.train.tokens.store, data.vocab):
                before = replace(before, data_fingerprint=now.data_fingerprint)
            found += differences(before, now)
        if found:
            raise ValueError(
                f"{self.path} was trained on other data than {data.data_dir}: {'; '.join(found)}. "
                "Resume with the data that the run began with, or start a new run on these, from "
                "the weights of this one, with --pretrained"
            )


def differences(before: Provenance, now: Provenance) -> list[str]:
    """What differs between the data then and now, in words; nothing where they are the same."""
    found = []
    if before.data_fingerprint != now.data_fingerprint:
        found.append(
            f"other training cells or counts ({before.num_cells:,} cells of {before.data_name} "
            f"then, {now.num_cells:,} of {now.data_name} now{_perhaps(before, now)})"
        )
    if before.graph_fingerprint != now.graph_fingerprint:
        found.append(
            f"another graph ({before.num_edges:,} edges under {before.neighbor_key!r} then, "
            f"{now.num_edges:,} under {now.neighbor_key!r} now)"
        )
    if before.objective != now.objective:
        found.append(f"another objective ({before.objective} then, {now.objective} now)")
    return found


def _perhaps(before: Provenance, now: Provenance) -> str:
    """What else may be the reason where the number of cells is the same."""
    if before.num_cells != now.num_cells:
        return ""
    return (
        "; in the same file, earlier versions of this program took features that are no genes for "
        "genes, and all genes without an id for one: cells that have such columns have other "
        "counts now"
    )


def _vocab_differences(before: GeneVocab, now: GeneVocab) -> list[str]:
    if before.fingerprint == now.fingerprint:
        return []
    return [
        f"another vocabulary or other medians ({len(before):,} tokens then, {len(now):,} now; "
        f"fingerprints {before.fingerprint[:12]} and {now.fingerprint[:12]})"
    ]
