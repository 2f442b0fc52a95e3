"""`geneformer-t doctor`: contents of a checkpoint or data folder, and whether they match."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import POSITIONAL, Settings
from bionemo.geneformer_t.table import Table

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.inventory import DataInventory
    from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
    from bionemo.geneformer_t.inference.data_fit import Finding


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(Settings):
    """What to look at."""

    first: Path = field(metadata=POSITIONAL)
    """A checkpoint or a data folder."""
    other: Path | None = field(default=None, metadata=POSITIONAL)
    """If FIRST is a checkpoint, the data folder to compare it with; if FIRST is a data folder, the
    checkpoint."""
    neighbor_key: str | None = None
    """Key of the graph to train on, for a data folder alone; by default, all its graphs are
    checked. If a checkpoint is given, the graph that it was trained on is checked."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The contents that were read, and the findings."""

    checkpoint: "CheckpointSummary | None"
    data: "DataInventory | None"
    findings: "tuple[Finding, ...]"

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.verdict != "wrong" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """How the command ends: 0 where nothing is wrong, otherwise 1."""
        return 0 if self.is_sound else 1


@command(DoctorSettings)
def doctor(settings: DoctorSettings) -> Diagnosis:
    """Print the contents of a checkpoint or a data folder; given both, check whether they match.

    A data folder alone is checked as in `train` before the first step, and every problem is listed.
    Ends with exit code 1 if there is a problem.
    """
    from bionemo.geneformer_t.data.folder import split_folders
    from bionemo.geneformer_t.data.inventory import take_inventory
    from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
    from bionemo.geneformer_t.inference.data_fit import examine_data, examine_fit
    from bionemo.geneformer_t.inference.training_refusals import compare

    checkpoint_path, data_dir = _sorted_out(settings)
    checkpoint = None if checkpoint_path is None else summarise_checkpoint(checkpoint_path)
    vocab = None if checkpoint is None else checkpoint.vocab
    refused: list[Finding] = []
    if data_dir is not None and checkpoint is None and split_folders(data_dir):
        refused = compare(data_dir, settings.neighbor_key)
    try:
        data = None if data_dir is None else take_inventory(data_dir, vocab)
    except (ValueError, KeyError, OSError):
        if not any(finding.verdict == "wrong" for finding in refused):
            raise
        data = None  # the findings below say what is wrong; the contents cannot be listed
    if checkpoint is not None and data is not None:
        findings = examine_fit(checkpoint, data)
    else:
        findings = [*refused, *([] if data is None else examine_data(data))]
    found = Diagnosis(checkpoint=checkpoint, data=data, findings=tuple(findings))
    parts = [
        *([checkpoint_text(checkpoint), scores_text(checkpoint)] if checkpoint else []),
        *([data_text(data)] if data else []),
        *([findings_text(found.findings, both=checkpoint is not None)] if data_dir else []),
    ]
    print("\n\n".join(parts))
    return found


def checkpoint_text(checkpoint: "CheckpointSummary") -> str:
    """Everything that a checkpoint carries."""
    from bionemo.geneformer_t.report.checkpoint_facts import model_facts, training_facts

    return Table.of_facts([*model_facts(checkpoint), *training_facts(checkpoint)]).text()


def data_text(data: "DataInventory") -> str:
    """Everything that a data folder holds."""
    from bionemo.geneformer_t.report.checkpoint_facts import SHOWN, vocab_facts

    by = "by hand" if data.made_by is None else f"by geneformer-t {data.made_by}"
    facts = [("data folder", str(data.folder)), ("made", by), *vocab_facts(data.vocab)]
    for name, split in data.splits.items():
        graphs = "; ".join(f"{key}: {edges:,} edges" for key, edges in split.graphs.items())
        facts.append((f"graphs {name}", graphs or "none"))
    heads = ["split", "cells", "genes", "known", "counts known", "median genes", "fingerprint"]
    rows = [
        [name, f"{len(split.store):,}", f"{split.genes:,}", f"{split.genes_known:,}",
         f"{split.counts_known:.1%}", f"{split.genes_per_cell:,}", split.fingerprint[:SHOWN]]
        for name, split in data.splits.items()
    ]  # fmt: skip
    return f"{Table.of_facts(facts).text()}\n\n{Table(head=[heads], rows=rows).text()}"


def findings_text(findings: "Sequence[Finding]", *, both: bool) -> str:
    """Every finding with its verdict, and the conclusion."""
    marks = {"good": "ok  ", "note": "note", "wrong": "NO  "}
    table = Table.of_facts([(marks[finding.verdict], finding.text) for finding in findings])
    number = sum(finding.verdict == "wrong" for finding in findings)
    if both:
        end = "Incompatible" if number else "The checkpoint and the data fit together"
    else:
        end = "The folder has faults" if number else "Nothing is wrong with the folder"
    failed = "1 check failed" if number == 1 else f"{number} checks failed"
    return f"{table.text()}\n\n{end}{f': {failed}' if number else ''}."


def scores_text(checkpoint: "CheckpointSummary") -> str:
    """The scores of a checkpoint, from its run's folder, if they are those of its weights."""
    from bionemo.geneformer_t.report.evaluation_files import EVALUATION, Scored, scores_beside
    from bionemo.geneformer_t.training.run_files import run_dir

    folder = run_dir(checkpoint.path.resolve())
    values, words = scores_beside(folder, Scored(model=checkpoint.fingerprint))
    if values is None:
        return f"scores: none; {words or f'there is no {EVALUATION} in {folder}'}"
    nats = values["rows"]["the model"]["all"]["cross_entropy"]
    return f"scores: {nats:.3f} nats per position on {values['split']}, in {words}"


def _sorted_out(settings: DoctorSettings) -> tuple[Path | None, Path | None]:
    """Which of the two paths is the checkpoint, and which the data folder."""
    given = [path for path in (settings.first, settings.other) if path is not None]
    for path in given:
        if not path.exists():
            raise FileNotFoundError(
                f"expected a checkpoint or a data folder at {path}; there is neither"
            )
    folders = [path for path in given if path.is_dir()]
    files = [path for path in given if not path.is_dir()]
    if len(folders) > 1 or len(files) > 1:
        what = "data folders" if len(folders) > 1 else "checkpoints"
        raise ValueError(
            f"{given[0]} and {given[1]} are both {what}; give a checkpoint and a data folder"
        )
    return (files[0] if files else None), (folders[0] if folders else None)


if __name__ == "__main__":
    sys.exit(main(doctor).exit_code)
