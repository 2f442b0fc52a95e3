"""Tables of the report, of `doctor` and of `graph`, and the warnings under that of graphs."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.evaluate.by_cluster import ClusterGain
from bionemo.geneformer_t.evaluate.trends import Curve, GeneTrends
from bionemo.geneformer_t.gene_lookup import gene_labels
from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.table import Table, number, signed, span, wrapped
from bionemo.geneformer_t.vocab import GeneVocab

SHOWN = 12
"""Letters of a fingerprint that are shown."""
_EXPLAINED = {
    "forward": "forward, backward: fraction of the steps to a later, to an earlier cell",
    "level": "level: fraction of the steps between cells of the same time",
    "two-way": "two-way: fraction of the edges whose reverse is in the graph too",
    "distance": "distance: to a successor, over that to a random cell (of its time point)",
    "reached": "reached: fraction of cells that edges reach from the root or the earliest cells",
    "leaks": "leaks: fraction of the steps to a cluster that PAGA does not connect (by chance)",
    "cross batch": "cross batch: fraction of the steps to another batch (by chance)",
}
"""What a column of the measures of graphs is."""


def graph_table(
    found: Iterable[tuple[tuple[str, ...], GraphQuality]], names: Sequence[str], caption: str = ""
) -> Table:
    """One row for each graph; a measure that was taken of none has no column.

    Args:
        found: What each graph is called, and its measures.
        names: Headings of what it is called, such as its key and its split.
        caption: What the table holds.
    """
    rows = [dict(zip(names, called, strict=True)) | _row(quality) for called, quality in found]
    taken = [name for name in rows[0] if any(row[name] for row in rows)]
    return Table(
        head=[taken],
        rows=[[row[name] or "-" for name in taken] for row in rows],
        caption=caption,
        left=range(len(names)),
    )


def _row(quality: GraphQuality) -> dict[str, str]:
    direction, distances, reach = quality.direction, quality.distances, quality.reach
    batches, reciprocity, leaks = quality.batches, quality.reciprocity, quality.leakage
    return {
        "cells": f"{quality.num_cells:,}",
        "edges": f"{quality.num_edges:,}",
        "no successor": f"{quality.out_degree.num_zero:,}",
        "forward": "" if direction is None else f"{direction.forward:.0%}",
        "level": f"{direction.level:.0%}" if direction is not None and direction.level else "",
        "backward": "" if direction is None else f"{direction.backward:.0%}",
        "two-way": "" if reciprocity is None else f"{reciprocity.edges:.0%}",
        "distance": "" if distances is None else f"{distances.ratio:.2f}",
        "reached": "" if reach is None else f"{reach.share:.0%}",
        "leaks": "" if leaks is None else f"{leaks.fraction:.0%} ({leaks.expected:.0%})",
        "cross batch": ""
        if batches is None
        else f"{batches.crossing:.0%} ({batches.expected:.0%})",
    }


def measures_explained(table: Table) -> list[str]:
    """What the columns of a table of graphs are."""
    return [about for name, about in _EXPLAINED.items() if name in table.head[0]]


def graph_text(found: Mapping[tuple[str, str], GraphQuality]) -> str:
    """The measures of graphs, what they are, and the warnings.

    Args:
        found: Measures by neighbor key and split.
    """
    table = graph_table(found.items(), ["graph", "split"])
    explained = [f"  {about}" for about in measures_explained(table)]
    return "\n".join([table.text(), *explained, *_warnings(found)])


def _warnings(found: Mapping[tuple[str, str], GraphQuality]) -> list[str]:
    """One paragraph for each graph and kind of warning, in the figures of the first split."""
    sentences: dict[tuple[str, str], str] = {}
    splits: dict[tuple[str, str], list[str]] = {}
    for (key, split), quality in found.items():
        for warning in graph_warnings(quality):
            sentences.setdefault((key, warning.kind), warning.sentence)
            splits.setdefault((key, warning.kind), []).append(split)
    lines = []
    for (key, kind), sentence in sentences.items():
        first, *others = splits[key, kind]
        also = f" The same in {' and '.join(others)}." if others else ""
        lines += ["", *wrapped(f"warning: {key}, {first}: {sentence}{also}")]
    return lines or ["", "no warnings: nothing looks wrong"]


def cluster_table(clusters: Iterable[ClusterGain]) -> Table:
    """The model beside the best baseline on the current cells of each cluster."""
    rows = [
        [one.cluster, f"{one.num_cells:,}", number(one.model), number(one.baseline),
         signed(one.gain.mean), span(one.gain.low, one.gain.high)]
        for one in clusters
    ]  # fmt: skip
    return Table(
        head=[
            ["", "current cells", "the model", "best baseline", "gain", "95 % interval"],
            ["", "", "nats", "nats", "nats", "nats"],
        ],
        rows=rows,
        caption="Cross-entropy by the cluster of the current cell",
    )


def trend_table(trends: GeneTrends, names: Sequence[str]) -> Table:
    """Mean normalised ranks of genes, and their true and predicted changes.

    Args:
        trends: The curves.
        names: What the genes are called, in their order.
    """
    weights = trends.num_cells / trends.num_cells.sum()
    now, true, predicted = (
        _mean(curve, weights) for curve in (trends.current, trends.following, trends.predicted)
    )
    rows = [
        [name, number(now[i]), signed(true[i] - now[i]), signed(predicted[i] - now[i]),
         number(float(trends.agreement[i]), 2)]
        for i, name in enumerate(names)
    ]  # fmt: skip
    return Table(
        head=[
            ["", "normalised rank", "true change", "predicted change", "r"],
            ["", "mean", "mean", "mean", "over cells"],
        ],
        rows=rows,
        caption="Mean normalised ranks over all current cells, and their changes",
    )


def model_facts(checkpoint: CheckpointSummary) -> list[tuple[str, str]]:
    """The model that a checkpoint holds."""
    config = checkpoint.config
    rows = [
        ("checkpoint", str(checkpoint.path)),
        ("written by", f"geneformer-t {checkpoint.version}, at step {checkpoint.step:,} of epoch "
                       f"{checkpoint.epoch:,}"),
        ("model", f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads, "
                  f"hidden size {config.hidden_size:,}, feed-forward "
                  f"{config.intermediate_size:,}; {checkpoint.num_weights:,} weights"),
        ("positions", f"{config.max_position_embeddings:,}, {config.position_scheme} in the next "
                      "cell"),
        ("isolation", f"rule {checkpoint.isolation_rule}: every position attends to the current "
                      "cell alone"),
    ]  # fmt: skip
    if config.rank_knots:
        rows.append(("bias by rank", f"{config.rank_knots} knots"))
    if checkpoint.axes is not None:
        rows.append(("canonical axes", str(checkpoint.axes)))
    if checkpoint.memory is not None:
        cells = len(checkpoint.memory.index)
        rows.append(("memory", f"{cells:,} training cells; {checkpoint.memory.mixing}"))
    rows.append(("transitions", str(checkpoint.transitions or "not fitted")))
    return rows + vocab_facts(checkpoint.vocab)


def vocab_facts(vocab: GeneVocab | None) -> list[tuple[str, str]]:
    """A vocabulary and its medians."""
    if vocab is None:
        return [("vocabulary", "none")]
    medians = np.array([vocab.medians[gene] for gene in vocab.genes])
    examples = vocab.gene_ids[:2]
    labels = gene_labels(vocab.decode(examples), [vocab.symbols[i] for i in examples])
    return [
        ("vocabulary", f"{vocab.fingerprint[:SHOWN]}: {len(vocab):,} tokens, {len(vocab.genes):,} "
                       f"genes such as {', '.join(labels)}; {len(vocab.gene_to_ens):,} "
                       "symbols"),
        ("medians", f"of {len(medians):,} genes, from {medians.min():.3g} to {medians.max():.3g}, "
                    f"median {np.median(medians):.3g}"),
    ]  # fmt: skip


def training_facts(checkpoint: CheckpointSummary) -> list[tuple[str, str]]:
    """What a checkpoint says of its training: pairs, cells, graph and start."""
    pairs, trained = checkpoint.pair_settings, checkpoint.provenance
    rows = [] if pairs is None else _pair_facts(pairs)
    if trained is None:
        return [*rows, ("trained on", "not recorded")]
    return [
        *rows,
        ("trained on", f"{trained.data_name}: {trained.num_cells:,} cells, "
                       f"{trained.num_examples:,} of them current cells, {_edges(trained)}"),
        ("fingerprints", f"cells {trained.data_fingerprint[:SHOWN]}, graph "
                         f"{trained.graph_fingerprint[:SHOWN]}"),
        ("objective", f"{trained.objective}, seed {trained.seed}"),
        ("started from", trained.pretrained or "no pretrained weights"),
    ]  # fmt: skip


def _pair_facts(settings: PairSettings) -> list[tuple[str, str]]:
    value = (
        f"count / total count * {settings.target_sum:,.0f} / median"
        if settings.normalize_gene_expression
        else "count"
    )
    return [
        ("cells", f"seq_length {settings.seq_length:,}, so {settings.genes_per_cell:,} genes of "
                  f"each cell, ranked by {value}"),
        ("pairs", f"{settings.next_cells_per_cell} successor(s) a cell, "
                  f"{settings.successor_sampling} draws; {settings.mask_prob:.0%} scored, "
                  f"{settings.mask_token_prob:.0%} of them masked and "
                  f"{settings.random_token_prob:.0%} random; {settings.token_selection_policy} "
                  "token selection"),
    ]  # fmt: skip


def _edges(trained: Provenance) -> str:
    if trained.objective == "mlm":
        return "without a graph"
    edges = f"{trained.num_edges:,} edges under {trained.neighbor_key!r}"
    return f"{edges}, shuffled: this model is a control" if trained.shuffled else edges


def _mean(curve: Curve, weights: np.ndarray) -> list[float]:
    means: list[float] = (weights @ curve.mean).tolist()
    return means
