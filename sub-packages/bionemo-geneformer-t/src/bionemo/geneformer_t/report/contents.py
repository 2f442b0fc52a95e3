"""What a report shows, gathered from an evaluation, its checkpoint, its run and its data folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.stored_graphs import recorded_options
from bionemo.geneformer_t.evaluate.by_cluster import cluster_gains
from bionemo.geneformer_t.evaluate.graph_pseudotime import position_along
from bionemo.geneformer_t.evaluate.headline import Headline, graph_lesson
from bionemo.geneformer_t.evaluate.trends import gene_trends
from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
from bionemo.geneformer_t.inference.gene_symbols import find_genes, readable_names, symbols_of
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.report import page
from bionemo.geneformer_t.report.evaluated import Evaluated
from bionemo.geneformer_t.report.explore.of_report import explorable
from bionemo.geneformer_t.report.explore_section import explore_section
from bionemo.geneformer_t.report.fate_section import FateResults, fate_section
from bionemo.geneformer_t.report.figures.graph_map import graph_map
from bionemo.geneformer_t.report.figures.graph_quality import Pictured
from bionemo.geneformer_t.report.graph_facts import stored_graphs
from bionemo.geneformer_t.report.in_sample import IN_SAMPLE
from bionemo.geneformer_t.report.perturbation_section import (
    PerturbationResults,
    perturbation_section,
)
from bionemo.geneformer_t.training.run_files import CONFIG_FILE
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

_NOT_SHOWN = ("data_dir", "output_dir", "config")
_MOST_NAMED = 40


def sections_of(
    evaluated: Evaluated,
    checkpoint: CheckpointSummary,
    genes: Sequence[str],
    num_genes: int,
    fates: FateResults | None = None,
    perturbation: PerturbationResults | None = None,
    *,
    interactive: bool = True,
) -> dict[str, page.Section]:
    """The parts of the page in the order of reading: the answer first, then what it rests on.

    The model is asked once more, about the genes' curves.

    Args:
        evaluated: A checkpoint on a split.
        checkpoint: What it says of itself.
        genes: Names of genes to follow.
        num_genes: How many more to choose.
        fates: Of some cells; without them there is no section on fates.
        perturbation: Effects of edited genes; without them there is no section on them.
        interactive: Add the section in which cells can be explored.
    """
    tokens = evaluated.dataset.tokens
    vocab = evaluated.dataset.vocab
    symbols = symbols_of(vocab, tokens.store.genes, tokens.token_of_column)
    named = named_genes(genes, vocab, symbols)
    place, place_name = _place(evaluated)
    facts, evaluation = evaluated.facts[evaluated.split], evaluated.evaluation
    trends = gene_trends(
        evaluated.predictor, evaluated.pairs, place, named, num_genes, facts.labels("batch")
    )
    labels = facts.labels("cluster")
    gains = None if labels is None else cluster_gains(evaluation, labels)
    graphs = _graphs(evaluated)
    changed = changed_settings(checkpoint.run_settings, evaluated.run_dir)
    time_labels = _labels_of(graphs.get(evaluated.split), place)
    sections = {
        "about": page.about(
            checkpoint, changed, evaluated.split_dir, evaluation, evaluated.where_from
        ),
        "loss": page.loss(evaluated.metrics),
        "graph": page.graph(graphs),
        "scores": page.scores(evaluation),
        "retrieval": page.retrieval(evaluation.retrieval),
        **({"explore": {}} if interactive else {}),
        **({} if fates is None else {"fates": fate_section(fates)}),
        **({} if perturbation is None else {"perturbation": perturbation_section(perturbation)}),
        "arrows": page.arrows(evaluated.arrows, evaluated.where),
        "genes": page.genes(
            trends,
            gene_names(trends.genes, vocab, symbols),
            place_name,
            time_labels,
        ),
        "clusters": page.clusters(gains),
        "calibration": page.calibration(evaluation),
    }
    if interactive:  # last, for there is room for as many genes as pictures leave
        names = readable_names(vocab, symbols).tolist()
        found = explorable(
            evaluated, names, trends.genes.tolist(), time_labels, fates, perturbation
        )
        drawn = [picture for section in sections.values() for picture in page.pictures_of(section)]
        sections["explore"] = explore_section(found, sum(len(one.base64) for one in drawn))
    return sections


def page_of(
    evaluated: Evaluated, checkpoint: CheckpointSummary, sections: Mapping[str, page.Section]
) -> str:
    """The whole page; it begins with the verdict and with what the graph taught."""
    evaluation, trained = evaluated.evaluation, checkpoint.provenance
    control = " (trained on shuffled successors: a control)" if evaluated.is_shuffled else ""
    words = [evaluated.in_sample, Headline.of(evaluation).sentence, graph_lesson(evaluation)]
    in_sample = f" ({IN_SAMPLE})" if evaluated.in_sample else ""
    return page.page(
        f"Next-cell report: {trained.data_name if trained else evaluated.split_dir}",
        f"{evaluated.checkpoint}{control} on {evaluated.split_dir}{in_sample}",
        " ".join(filter(None, words)),
        sections,
    )


def named_genes(
    names: Sequence[str], vocab: GeneVocab, symbols: Sequence[str]
) -> Int[ndarray, " gene"]:
    """The token ids of genes that a user named, each once.

    Args:
        names: Ids and symbols, separated by commas or blanks.
        vocab: The checkpoint's.
        symbols: Of each token, as the page shows them.

    Raises:
        KeyError: Neither the vocabulary nor the data know a name.
        ValueError: A symbol stands for several genes, or there are too many genes to draw.
    """
    wanted = [name for given in names for name in re.split(r"[,\s]+", given) if name]
    ids = find_genes(wanted, vocab, symbols)
    unknown = [name for name, token in zip(wanted, ids, strict=True) if token < 0]
    if unknown:
        known = [*[symbol for symbol in symbols if symbol][:2], *vocab.genes[:2]]
        raise KeyError(
            f"genes: the checkpoint's vocabulary has no {', '.join(unknown)}; it knows "
            f"{len(vocab.genes):,} genes by names such as {', '.join(known)}"
        )
    ids = np.array(list(dict.fromkeys(ids.tolist())), dtype=np.int64)
    if len(ids) > _MOST_NAMED:
        raise ValueError(f"genes: at most {_MOST_NAMED} can be drawn; got {len(ids)}")
    return ids


def gene_names(
    ids: Int[ndarray, " gene"], vocab: GeneVocab, symbols: Sequence[str]
) -> tuple[str, ...]:
    """Symbols of genes where they are known, else their ids."""
    return tuple(readable_names(vocab, symbols)[ids].tolist())


def changed_settings(recorded: Mapping[str, Any] | None, run_dir: Path) -> dict[str, object]:
    """Settings of a training that are not the defaults.

    Args:
        recorded: What the checkpoint carries: a resume may have changed them after it was written.
        run_dir: The folder whose config.yaml is read where it carries none; where that is not
            there either, none are known.
    """
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


def _place(evaluated: Evaluated) -> tuple[Float[ndarray, " cell"], str]:
    """Where cells are on the trajectory: at their times, or else in the order of the graph."""
    times = evaluated.facts[evaluated.split].time
    if times is not None and np.isfinite(times[evaluated.pairs.cells]).any():
        return times, "time of the current cell"
    return position_along(evaluated.dataset.graph), "place of the current cell along the graph"


def _labels_of(
    pictured: Pictured | None, place: Float[ndarray, " cell"]
) -> Mapping[float, str] | None:
    """What time points are called, where places on the trajectory are the times of the graph."""
    if pictured is None or pictured.facts.time is None:
        return None
    is_time = np.array_equal(pictured.facts.time, place, equal_nan=True)
    return pictured.time_labels if is_time else None


def _graphs(evaluated: Evaluated) -> dict[str, Pictured]:
    """The graph that the model follows, in the training split and in the one that was scored."""
    key = evaluated.dataset.settings.neighbor_key
    stores = {name: evaluated.stores[name] for name in ("train", evaluated.split)}
    splits = stored_graphs(stores, (key,), recorded_options(evaluated.data_dir))
    generator = np.random.default_rng(evaluated.seed)
    pictured: dict[str, Pictured] = {}
    for name, split in splits.items():
        dropped = split.dropped.get(key)
        quality = graph_quality(split.graphs[key], split.facts, generator, dropped)
        is_drawn = not pictured
        where = graph_map(split.facts.representation, split.obsm, generator) if is_drawn else None
        pictured[name] = split.pictured(key, name, quality, where)
    return pictured
