"""Checkpoints, data folders and findings as text for a terminal."""

import textwrap
from collections.abc import Sequence

import numpy as np

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.inventory import DataInventory
from bionemo.geneformer_t.inference.checkpoint_file import CheckpointSummary
from bionemo.geneformer_t.inference.data_fit import Finding
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab

_LABEL = 14
_WIDTH = 100
_SHOWN = 12
_MARKS = {"good": "ok", "note": "note", "wrong": "NO"}


def checkpoint_text(checkpoint: CheckpointSummary) -> str:
    """Everything that a checkpoint carries."""
    config, settings = checkpoint.config, checkpoint.pair_settings
    rows = [
        ("checkpoint", str(checkpoint.path)),
        (
            "written by",
            f"geneformer-t {checkpoint.version}, at step {checkpoint.step:,} of epoch "
            f"{checkpoint.epoch:,}",
        ),
        (
            "model",
            f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads, hidden size "
            f"{config.hidden_size:,}, feed-forward {config.intermediate_size:,}; "
            f"{checkpoint.num_weights:,} weights",
        ),
        (
            "positions",
            f"{config.max_position_embeddings:,}, {config.position_scheme} in the next cell",
        ),
        (
            "isolation",
            f"rule {checkpoint.isolation_rule}: every position attends to the current cell alone",
        ),
        *_vocab_rows(checkpoint.vocab),
        *([] if settings is None else _settings_rows(settings)),
        *_head_rows(checkpoint),
        *_provenance_rows(checkpoint.provenance),
    ]
    return _table(rows)


def _head_rows(checkpoint: CheckpointSummary) -> list[tuple[str, str]]:
    rows = []
    if checkpoint.config.rank_knots:
        rows.append(("bias by rank", f"{checkpoint.config.rank_knots} knots"))
    if checkpoint.memory is not None:
        cells = len(checkpoint.memory.library)
        rows.append(("memory", f"{cells:,} training cells; {checkpoint.memory.mixing}"))
    return rows


def data_text(data: DataInventory) -> str:
    """Everything that a data folder holds."""
    by = "by hand" if data.made_by is None else f"by geneformer-t {data.made_by}"
    head = [("data folder", str(data.folder)), ("made", by), *_vocab_rows(data.vocab)]
    columns = ("split", "cells", "genes", "known", "counts known", "median genes", "fingerprint")
    body = [
        (
            name,
            f"{len(split.store):,}",
            f"{split.genes:,}",
            f"{split.genes_known:,}",
            f"{split.counts_known:.1%}",
            f"{split.genes_per_cell:,}",
            split.fingerprint[:_SHOWN],
        )
        for name, split in data.splits.items()
    ]
    graphs = [
        (
            f"graphs {name}",
            "; ".join(f"{key}: {edges:,} edges" for key, edges in split.graphs.items()) or "none",
        )
        for name, split in data.splits.items()
    ]
    return "\n".join([_table(head), "", *_columns([columns, *body]), "", _table(graphs)])


def findings_text(findings: Sequence[Finding], *, both: bool) -> str:
    """Every finding with its verdict, and the conclusion."""
    lines = []
    for finding in findings:
        lines += textwrap.wrap(
            f"{_MARKS[finding.verdict]:<6}{finding.text}", _WIDTH, subsequent_indent=" " * 6
        )
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    if both:
        end = "Incompatible" if wrong else "The checkpoint and the data fit together"
    else:
        end = "The folder has faults" if wrong else "Nothing is wrong with the folder"
    return "\n".join([*lines, "", end + (f": {_failed(wrong)}." if wrong else ".")])


def _failed(number: int) -> str:
    return "1 check failed" if number == 1 else f"{number} checks failed"


def _vocab_rows(vocab: GeneVocab | None) -> list[tuple[str, str]]:
    if vocab is None:
        return [("vocabulary", "none")]
    medians = np.array([vocab.medians[gene] for gene in vocab.genes])
    return [
        (
            "vocabulary",
            f"{vocab.fingerprint[:_SHOWN]}: {len(vocab):,} tokens, {len(vocab.genes):,} genes such "
            f"as {', '.join(vocab.genes[:2])}; {len(vocab.gene_to_ens):,} symbols",
        ),
        (
            "medians",
            f"of {len(medians):,} genes, from {medians.min():.3g} to {medians.max():.3g}, "
            f"median {np.median(medians):.3g}",
        ),
    ]


def _settings_rows(settings: PairSettings) -> list[tuple[str, str]]:
    value = (
        f"count / total count * {settings.target_sum:,.0f} / median"
        if settings.normalize_gene_expression
        else "count"
    )
    return [
        (
            "cells",
            f"seq_length {settings.seq_length:,}, so {settings.genes_per_cell:,} genes of each "
            f"cell, ranked by {value}",
        ),
        (
            "pairs",
            f"{settings.next_cells_per_cell} successor(s) a cell, {settings.successor_sampling} "
            f"draws; {settings.mask_prob:.0%} scored, {settings.mask_token_prob:.0%} of them "
            f"masked and {settings.random_token_prob:.0%} random; {settings.token_selection_policy}"
            " token selection",
        ),
    ]


def _provenance_rows(trained: Provenance | None) -> list[tuple[str, str]]:
    if trained is None:
        return [("trained on", "not recorded")]
    return [
        (
            "trained on",
            f"{trained.data_name}: {trained.num_cells:,} cells, {trained.num_examples:,} of them "
            f"current cells, {_edges(trained)}",
        ),
        (
            "fingerprints",
            f"cells {trained.data_fingerprint[:_SHOWN]}, graph "
            f"{trained.graph_fingerprint[:_SHOWN]}",
        ),
        ("objective", f"{trained.objective}, seed {trained.seed}"),
        ("started from", trained.pretrained or "no pretrained weights"),
    ]


def _edges(trained: Provenance) -> str:
    if trained.objective == "mlm":
        return "without a graph"
    edges = f"{trained.num_edges:,} edges under {trained.neighbor_key!r}"
    return f"{edges}, shuffled: this model is a control" if trained.shuffled else edges


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = []
    for label, text in rows:
        lines += textwrap.wrap(
            f"{label:<{_LABEL}}{text}",
            _WIDTH,
            subsequent_indent=" " * _LABEL,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
