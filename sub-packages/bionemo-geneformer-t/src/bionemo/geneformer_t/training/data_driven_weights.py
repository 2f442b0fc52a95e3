"""A model's first weights from the training cells themselves, where the settings ask for it."""

import logging
from typing import TYPE_CHECKING

from bionemo.geneformer_t.training.settings import TrainSettings

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

logger = logging.getLogger(__name__)

MOST_AXES = 64


def start_from_cells(
    settings: TrainSettings,
    model: "TemporalGeneformerModel",
    data: "TemporalGeneformerDataModule",
) -> None:
    """Fill in the bias by rank and the gene embeddings, as far as the settings say.

    Pretrained heads know how frequent genes are: a bias by rank on top of them starts at zero.

    Every process computes the same from the same cells. Before the first step only: a run that
    resumes has its weights.
    """
    if model.net.cls.predictions.rank_bias is not None and settings.pretrained is None:
        _set_rank_bias(model, data)
    if settings.gene_embeddings == "expression":
        _set_gene_embeddings(settings, model, data)


def _set_rank_bias(model: "TemporalGeneformerModel", data: "TemporalGeneformerDataModule") -> None:
    import torch

    from bionemo.geneformer_t.model.rank_bias import log_frequencies
    from bionemo.geneformer_t.training.data_statistics import rank_counts

    bias = model.net.cls.predictions.rank_bias
    assert bias is not None
    counts = torch.from_numpy(rank_counts(data.train))
    is_gene = torch.zeros(counts.shape[1], dtype=torch.bool)
    is_gene[torch.from_numpy(data.vocab.gene_ids)] = True
    logs = log_frequencies(counts, bias.knots, is_gene)
    bias.start[:] = logs.min()  # rows beyond the vocabulary are never the answer
    bias.start[: len(logs)] = logs


def _set_gene_embeddings(
    settings: TrainSettings,
    model: "TemporalGeneformerModel",
    data: "TemporalGeneformerDataModule",
) -> None:
    """Put the axes into the first half of the columns at most; the others stay random."""
    import torch

    from bionemo.geneformer_t.training.data_statistics import expression_axes

    weight = model.net.bert.embeddings.word_embeddings.weight
    wanted = min(MOST_AXES, settings.hidden_size // 2)
    axes = expression_axes(data.train.tokens, wanted, len(data.vocab), settings.seed)
    if axes.shape[1] == 0 or not axes.std():
        logger.warning(
            "gene_embeddings: the training cells have no axes of expression (%d cells); genes "
            "start at random", len(data.train.tokens),
        )  # fmt: skip
        return
    scaled = torch.from_numpy(axes * (model.config.initializer_range / axes.std()))
    with torch.no_grad():
        weight[: len(scaled), : scaled.shape[1]] = scaled
    logger.info("gene embeddings start at %d axes of expression", scaled.shape[1])
