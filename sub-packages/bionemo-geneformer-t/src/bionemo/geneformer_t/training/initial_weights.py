"""The model that a training run starts from: random weights, or pretrained ones.

Sizes come from the pretrained weights. A size that was left at its default is taken from there, so
that `config.yaml` has the sizes of the model; a size that was given and differs is refused.
"""

import logging
from dataclasses import fields, replace
from typing import Any

import numpy as np

from bionemo.geneformer_t.config import BioBertConfig, positions_needed
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.gene_coverage import coverage
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.step.optimizer import freeze_layers, num_trainable
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.weights.lora import add_adapters
from bionemo.geneformer_t.model.weights.pretrained import Pretrained, read_pretrained
from bionemo.geneformer_t.prepare.published_vocabulary import NAMED, find_vocab
from bionemo.geneformer_t.training.resume_point import ResumePoint
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

logger = logging.getLogger(__name__)

SIZES = {
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
}
"""Settings that pretrained weights decide, and their names in `BioBertConfig`."""


def read_start(
    settings: TrainSettings, resume: ResumePoint | None
) -> Pretrained | BioBertConfig | None:
    """The pretrained weights that a run starts from, if any.

    For a run that resumes, whose weights are in its checkpoint, only the sizes are read.

    Raises:
        FileNotFoundError: They, or their vocabulary, are missing.
        ValueError: They are damaged, inconsistent or of another architecture.
    """
    if settings.pretrained is None:
        return None
    if resume is not None:
        return replace(
            resume.config(),
            hidden_dropout_prob=settings.dropout_prob,
            attention_probs_dropout_prob=settings.dropout_prob,
        )
    name = settings.pretrained_vocab
    if name not in NAMED:
        return read_pretrained(settings.pretrained, name)
    files = find_vocab(name, settings.dictionaries)
    return read_pretrained(settings.pretrained, files.tokens, files.medians)


def with_sizes(settings: TrainSettings, start: Pretrained | BioBertConfig | None) -> TrainSettings:
    """The settings with the sizes of the weights that the run starts from.

    If the weights were trained on next cells, this includes their position scheme.

    Raises:
        ValueError: A size was given that the weights do not have.
    """
    if start is None:
        return settings
    config = start if isinstance(start, BioBertConfig) else start.config
    names = dict(SIZES)
    if config is start or getattr(start, "knows_next_cells", False):
        names["position_scheme"] = "position_scheme"
    if config.rank_knots:
        names["rank_knots"] = "rank_knots"
    theirs = {name: getattr(config, ours) for name, ours in names.items()}
    defaults = {field.name: field.default for field in fields(TrainSettings)}
    wrong = [
        f"{name} is {getattr(settings, name)!r} here and {value!r} there"
        for name, value in theirs.items()
        if getattr(settings, name) not in {value, defaults[name]}
    ]
    if wrong:
        raise ValueError(
            f"sizes come from the pretrained weights, {settings.pretrained}; {'; '.join(wrong)}. "
            "Leave them out, or start from other weights"
        )
    return replace(settings, **theirs)


def num_positions(settings: TrainSettings, pretrained: Pretrained) -> int:
    """Rows of the position table: those of the weights, or more with `extend_positions`.

    Raises:
        ValueError: More are needed, without `extend_positions`.
    """
    held = pretrained.config.max_position_embeddings
    needed = positions_needed(settings, settings.position_scheme)
    if needed > held and not settings.extend_positions:
        restart = "take position_scheme='restarted', which needs half of it, "
        if positions_needed(settings, "restarted") == needed:
            restart = ""
        raise ValueError(
            f"seq_length {settings.seq_length} takes {needed} positions under "
            f"position_scheme {settings.position_scheme!r}; {pretrained.source} has {held}. Lower "
            f"seq_length, {restart}or append positions that were never trained with "
            "extend_positions"
        )
    return max(held, needed)


def start_model(
    settings: TrainSettings, vocab: GeneVocab, start: Pretrained | BioBertConfig | None
) -> TemporalGeneformerModel:
    """The model of a run, before its first step."""
    training: dict[str, Any] = {
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "warmup_steps": settings.warmup_steps,
        "layer_lr_decay": settings.layer_lr_decay,
        "gene_lr_fraction": settings.gene_lr_fraction,
        "attention_backend": settings.attention_backend,
        "matmul_backend": settings.matmul_backend,
        "recompute": settings.recompute,
        "compile": settings.compile,
    }
    if start is None:
        model = TemporalGeneformerModel(settings.model_config(len(vocab)), **training)
    elif isinstance(start, BioBertConfig):
        model = TemporalGeneformerModel(start, **training)
    else:
        model = TemporalGeneformerModel.from_pretrained(
            start,
            vocab=vocab,
            position_scheme=settings.position_scheme,
            dropout_prob=settings.dropout_prob,
            num_positions=num_positions(settings, start),
            rank_knots=settings.rank_knots or None,
            time_gaps=settings.time_gap_key is not None,
            seed=settings.seed,
            **training,
        )
    restrict_training(settings, model)
    return model


def restrict_training(settings: TrainSettings, model: TemporalGeneformerModel) -> None:
    """Freeze layers or add low-rank updates, as the settings ask, and log what is trained.

    Raises:
        ModuleNotFoundError: LoRA is asked for and peft is not installed.
        ValueError: There are fewer layers than `freeze_layers`.
    """
    if settings.lora_rank is not None:
        add_adapters(model.net, settings.lora_rank)
    freeze_layers(model.net, settings.freeze_layers)
    trained, total = num_trainable(model.net)
    if trained < total:
        logger.info("%s of %s weights train", f"{trained:,}", f"{total:,}")


def report_coverage(
    settings: TrainSettings,
    model: TemporalGeneformerModel,
    data: TemporalGeneformerDataModule,
) -> None:
    """Record which fraction of the training cells' counts has pretrained genes, and log it.

    Raises:
        ValueError: It is too little.
    """
    if model.start is None:
        return

    covered = np.isin(np.arange(len(data.vocab)), data.vocab.gene_ids)
    covered[data.vocab.encode(model.start.genes_new)] = False
    found = coverage(data.train.tokens, covered)
    model.start = replace(
        model.start,
        data_genes=found.genes,
        data_genes_covered=found.genes_covered,
        data_counts_covered=found.share,
    )
    logger.info("%s", model.start)
    if found.share < settings.min_pretrained_coverage:
        raise ValueError(
            f"the pretrained weights cover too little of {settings.data_dir}: {found} are on genes "
            f"with pretrained rows, and min_pretrained_coverage is "
            f"{settings.min_pretrained_coverage:.0%}. {_advice(data.train.tokens)}"
        )


def _advice(tokens: CellTokens) -> str:
    names = ", ".join(tokens.store.gene_names[:3])
    return (
        f"The data name genes like {names}; prepare them with the vocabulary of the weights and a "
        "dictionary that maps your names to its own, or lower min_pretrained_coverage if you mean "
        "to train most genes from the beginning"
    )
