"""What a checkpoint says of itself, as rows of a table of the report and of `doctor`."""

import numpy as np

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.gene_lookup import gene_labels
from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab

SHOWN = 12
"""Letters of a fingerprint that are shown."""


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
