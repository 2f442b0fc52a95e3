"""A run resumes on the data that it began with, or not at all.

A checkpoint carries fingerprints of the training cells, their graph and the vocabulary. Other data
under old progress would be neither the old run nor a new one: batches would stand for other cells,
and token ids for other genes.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.training.resume_settings import check_settings
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule

logger = logging.getLogger(__name__)


def check_same_data(checkpoint: Path, data: "TemporalGeneformerDataModule") -> None:
    """Compare what a checkpoint was trained on with what it is to go on with.

    Checkpoints that carry nothing of their data pass.

    Raises:
        ValueError: Names what differs.
    """
    from bionemo.geneformer_t.data.fingerprints import are_same_cells
    from bionemo.geneformer_t.model.weights.checkpoint_entry import checkpoint_entry
    from bionemo.geneformer_t.training.checkpoint_files import read_checkpoint

    carried = checkpoint_entry(read_checkpoint(checkpoint))
    found = []
    if carried.get("vocab") is not None:
        found += _vocab_differences(GeneVocab.from_dict(carried["vocab"]), data.vocab)
    if carried.get("provenance") is not None:
        before, now = Provenance.from_dict(carried["provenance"]), data.provenance
        if are_same_cells(before.data_fingerprint, data.train.tokens.store, data.vocab):
            before = replace(before, data_fingerprint=now.data_fingerprint)
        found += differences(before, now)
    if found:
        raise ValueError(
            f"{checkpoint} was trained on other data than {data.data_dir}: {'; '.join(found)}. "
            "Resume with the data that the run began with, or start a new run on these, from the "
            "weights of this one, with --pretrained"
        )


def check_same_settings(checkpoint: Path, settings: TrainSettings) -> None:
    """Refuse settings that a run cannot change where this checkpoint lies.

    Checkpoints of earlier versions carry no settings; they are taken as they are, and the log says
    so.

    Raises:
        ValueError: Names the settings and both values.
    """
    from bionemo.geneformer_t.training.checkpoint_files import read_checkpoint
    from bionemo.geneformer_t.training.checkpointing import RunCheckpoints

    carried = read_checkpoint(checkpoint).get("callbacks", {}).get(RunCheckpoints.__qualname__, {})
    if not carried.get("settings"):
        logger.warning("%s has no record of the settings of its training", checkpoint)
        return
    check_settings(
        carried["settings"],
        settings.to_plain(),
        where=str(checkpoint),
        batches_done=carried["batch"],
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
