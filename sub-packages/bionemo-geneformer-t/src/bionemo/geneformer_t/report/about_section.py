"""What was trained on what, and what was scored."""

from collections.abc import Mapping
from pathlib import Path

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.inference.checkpoint_file import CheckpointSummary
from bionemo.geneformer_t.report.markup import Child, element, facts, items, joined
from bionemo.geneformer_t.report.page import Section

_SHOWN = 12


def about_section(
    checkpoint: CheckpointSummary,
    changed_settings: Mapping[str, object],
    scored: Path,
    evaluation: Evaluation,
    where_from: str,
) -> Section:
    """The model, its training, and the cells that it was asked about.

    Args:
        checkpoint: What the checkpoint says of itself.
        changed_settings: Settings of the training that are not the defaults.
        scored: Folder of the split that was scored.
        evaluation: How many cells and pairs that were.
        where_from: A sentence on where times and clusters come from.
    """
    return Section(
        name="about",
        title="What was trained on what",
        body=[
            facts(_model(checkpoint), caption="The model"),
            facts([*_training(checkpoint), *_settings(changed_settings)], caption="Its training"),
            facts(_scored(scored, evaluation, where_from), caption="What was scored"),
        ],
    )


def _model(checkpoint: CheckpointSummary) -> list[tuple[str, Child]]:
    config = checkpoint.config
    rows: list[tuple[str, Child]] = [
        ("checkpoint", element("code", str(checkpoint.path))),
        (
            "written by",
            f"geneformer-t {checkpoint.version}, at step {checkpoint.step:,} of epoch "
            f"{checkpoint.epoch:,}",
        ),
        (
            "sizes",
            f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads, hidden size "
            f"{config.hidden_size:,}, feed-forward {config.intermediate_size:,}; "
            f"{checkpoint.num_weights:,} weights",
        ),
        (
            "isolation",
            f"rule {checkpoint.isolation_rule}: every position attends to the current cell alone",
        ),
    ]
    if checkpoint.memory is not None:
        cells = len(checkpoint.memory.library)
        rows.append(("memory", f"{cells:,} training cells; {checkpoint.memory.mixing}"))
    if checkpoint.vocab is not None:
        vocab = checkpoint.vocab
        text = f"{len(vocab.genes):,} genes, fingerprint {vocab.fingerprint[:_SHOWN]}"
        rows.append(("vocabulary", text))
    return rows


def _training(checkpoint: CheckpointSummary) -> list[tuple[str, Child]]:
    rows: list[tuple[str, Child]] = []
    trained, pairs = checkpoint.provenance, checkpoint.pair_settings
    if trained is None:
        rows.append(("cells", "not recorded in the checkpoint"))
    else:
        rows += [
            (
                "cells",
                f"{trained.data_name}: {trained.num_cells:,} training cells, "
                f"{trained.num_examples:,} of them current cells; fingerprint "
                f"{trained.data_fingerprint[:_SHOWN]}",
            ),
            (
                "graph",
                f"{trained.neighbor_key}: {trained.num_edges:,} pairs of a cell and a successor; "
                f"fingerprint {trained.graph_fingerprint[:_SHOWN]}",
            ),
            ("started from", trained.pretrained or "no pretrained weights"),
            ("objective and seed", f"{trained.objective}, {trained.seed}"),
        ]
    if pairs is not None:
        rows += [
            (
                "a pair",
                f"seq_length {pairs.seq_length:,}, so the {pairs.genes_per_cell:,} highest-ranked "
                f"genes of each cell; {pairs.mask_prob:.0%} of the next cell's genes scored, "
                f"{pairs.mask_token_prob:.0%} of them masked, {pairs.random_token_prob:.0%} random",
            ),
        ]
    return rows


def _settings(changed: Mapping[str, object]) -> list[tuple[str, Child]]:
    if not changed:
        return []
    shown = [joined([element("code", name), f" {value}"]) for name, value in changed.items()]
    return [("settings other than the defaults", items(shown, class_="settings"))]


def _scored(scored: Path, evaluation: Evaluation, where_from: str) -> list[tuple[str, Child]]:
    return [
        ("cells", element("code", str(scored))),
        (
            "pairs",
            f"{evaluation.num_cells:,} current cells, {evaluation.num_pairs:,} next cells, "
            f"{evaluation.num_positions:,} positions; {evaluation.num_changed:,} of the genes are "
            "new in the next cell",
        ),
        ("notes", where_from),
    ]
