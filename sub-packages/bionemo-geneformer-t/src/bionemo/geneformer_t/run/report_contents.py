"""Gathers what a report shows: from an evaluation, its checkpoint, its run and its data folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.by_cluster import cluster_gains
from bionemo.geneformer_t.evaluate.graph_pseudotime import position_along
from bionemo.geneformer_t.evaluate.trends import gene_trends
from bionemo.geneformer_t.inference.checkpoint_file import summarise_checkpoint
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.report.contents import Contents
from bionemo.geneformer_t.report.evaluated import Evaluated
from bionemo.geneformer_t.report.figures.graph_map import graph_map
from bionemo.geneformer_t.report.figures.graph_quality import Pictured
from bionemo.geneformer_t.training.run_folder import CONFIG_FILE
from bionemo.geneformer_t.vocab import GeneVocab

_NOT_SHOWN = ("data_dir", "output_dir", "config")
_MOST_NAMED = 40


def named_genes(checkpoint: Path, names: Sequence[str]) -> tuple[Int[ndarray, " gene"], GeneVocab]:
    """The token ids of genes that a user named, each once, and the checkpoint's vocabulary.

    Raises:
        KeyError: The vocabulary does not know a name.
        ValueError: There are too many to draw, or the checkpoint has no vocabulary.
    """
    vocab = summarise_checkpoint(checkpoint).vocab
    if vocab is None:
        raise ValueError(f"{checkpoint} carries no vocabulary; give one that was trained on data")
    wanted = [name for given in names for name in re.split(r"[,\s]+", given) if name]
    ids = vocab.encode(wanted)
    unknown = [name for name, token in zip(wanted, ids, strict=True) if token < 0]
    if unknown:
        known = [*list(vocab.gene_to_ens)[:2], *vocab.genes[:2]]
        raise KeyError(
            f"genes: the checkpoint's vocabulary has no {', '.join(unknown)}; it knows "
            f"{len(vocab.genes):,} genes by names such as {', '.join(known)}"
        )
    ids = np.array(list(dict.fromkeys(ids.tolist())), dtype=np.int64)
    if len(ids) > _MOST_NAMED:
        raise ValueError(f"genes: at most {_MOST_NAMED} can be drawn; got {len(ids)}")
    return ids, vocab


def gene_names(ids: Int[ndarray, " gene"], vocab: GeneVocab) -> tuple[str, ...]:
    """Symbols of genes where the vocabulary has one, else their ids."""
    symbols: dict[str, str] = {}
    for symbol, gene in vocab.gene_to_ens.items():
        symbols.setdefault(gene, symbol)
    return tuple(symbols.get(gene, gene) for gene in vocab.decode(ids.tolist()))


def gather(evaluated: Evaluated, genes: Sequence[str], num_genes: int) -> Contents:
    """Everything that the page shows; the model is asked once more, about the genes' curves."""
    named, vocab = named_genes(evaluated.checkpoint, genes)
    place, place_name = _place(evaluated)
    facts = evaluated.facts[evaluated.split]
    clusters = facts.labels("cluster")
    trends = gene_trends(
        evaluated.predictor, evaluated.pairs, place, named, num_genes, facts.labels("batch")
    )
    checkpoint = summarise_checkpoint(evaluated.checkpoint)
    return Contents(
        checkpoint=checkpoint,
        changed_settings=changed_settings(checkpoint.run_settings, evaluated.run_dir),
        metrics=evaluated.metrics,
        scored=evaluated.split_dir,
        where_from=evaluated.where_from,
        evaluation=evaluated.evaluation,
        graphs=_graphs(evaluated),
        where=evaluated.where,
        arrows=evaluated.arrows,
        trends=trends,
        gene_names=gene_names(trends.genes, vocab),
        place_name=place_name,
        is_shuffled=evaluated.is_shuffled,
        gains=None if clusters is None else cluster_gains(evaluated.evaluation, clusters),
    )


def _place(evaluated: Evaluated) -> tuple[Float[ndarray, " cell"], str]:
    """Where cells lie on the trajectory: at their times, or else in the order of the graph."""
    times = evaluated.facts[evaluated.split].time
    if times is not None and np.isfinite(times[evaluated.pairs.cells]).any():
        return times, "time of the current cell"
    return position_along(evaluated.dataset.graph), "place of the current cell along the graph"


def changed_settings(recorded: Mapping[str, Any] | None, run_dir: Path) -> dict[str, object]:
    """Settings of a training that are not the defaults.

    Args:
        recorded: What the checkpoint carries: a resume may have changed them after it was written.
        run_dir: The folder whose config.yaml is read where it carries none; where that is not
            there either, none are known.
    """
    import yaml

    from bionemo.geneformer_t.training.settings import TrainSettings

    path, given = run_dir / CONFIG_FILE, recorded
    if given is None and path.is_file():
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(given, Mapping):
        return {}
    defaults = {
        field.name: field.default for field in fields(TrainSettings) if field.default is not MISSING
    }
    return {
        name: value
        for name, value in given.items()
        if name not in _NOT_SHOWN and value != defaults.get(name)
    }


def _graphs(evaluated: Evaluated) -> dict[str, Pictured]:
    """The graph that the model follows, in the training split and in the one that was scored."""
    from bionemo.geneformer_t.data.stored_graphs import read_split, read_times
    from bionemo.geneformer_t.run.graph_command import GraphSettings, completed, with_facts

    key = evaluated.dataset.settings.neighbor_key
    settings, _ = completed(GraphSettings(data_dir=evaluated.data_dir, neighbor_key=(key,)))
    found = {name: read_split(store) for name, store in evaluated.stores.items()}
    times = {}
    if settings.time_key is not None:
        times = read_times(found, settings.time_key, settings.time_order)
    generator = np.random.default_rng(evaluated.seed)
    pictured: dict[str, Pictured] = {}
    for name, split in found.items():
        known = with_facts(split, times.get(name), settings)
        graph = known.graphs[key]
        pictured[name] = Pictured(
            title=f"{key}, {name}",
            graph=graph,
            quality=graph_quality(graph, known.facts, generator, known.dropped.get(key)),
            facts=known.facts,
            where=graph_map(known.facts.representation, known.obsm, generator)
            if not pictured
            else None,
            time_name=known.time_name,
            time_labels=known.time_labels,
        )
    return pictured
