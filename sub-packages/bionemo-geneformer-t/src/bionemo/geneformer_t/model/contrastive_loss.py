"""The contrastive term: of all current cells of a batch, which does each next cell follow?

Cross-entropy asks for genes that are probable in this next cell; most of them are probable in any.
The contrastive term asks for what tells this next cell's origin apart: a softmax over the current
cells of the batch, of the log-likelihood that each gives to the next cell's genes at some ranks
(InfoNCE, van den Oord et al. 2018, with the model's own likelihood as the critic). By Bayes' rule
this is the probability of the true origin, if all current cells were equally likely. Genes given
the current cell are not independent, so the log-likelihood is divided by a temperature.

Each current cell is encoded once, and asked once for each rank: what is left for each pair are
look-ups.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bionemo.geneformer_t.model.vocabulary_loss import rows_per_chunk

TEMPERATURE = 5.0
"""Log-likelihoods, summed over up to 96 ranks, are divided by it. It is about what makes the true
origins of validation cells most probable with networks that were trained without the term: 2 to 10,
by data set."""


def contrastive_loss(
    scores: Float[Tensor, "context next_cell"],
    own: Int[Tensor, " next_cell"],
    left_out: Int[Tensor, " left_out"],
) -> Float[Tensor, ""]:
    """Cross-entropy of the origin of each next cell, in nats, the mean over next cells.

    0 where there is one context only, and where there is no next cell.

    Args:
        scores: Log-likelihood of each next cell after each context.
        own: The context of each next cell.
        left_out: Pairs that are not compared, as indices of the flattened scores.
    """
    logits = (scores / TEMPERATURE).flatten().index_fill(0, left_out, -torch.inf).view_as(scores)
    lost = logits.logsumexp(0) - logits.gather(0, own[None])[0]
    return lost.sum() / max(1, len(own))


def origin_scores(
    features: Float[Tensor, "context_x_rank feature"],
    weight: Float[Tensor, "vocab feature"],
    bias: Float[Tensor, " vocab"],
    genes: Int[Tensor, "next_cell rank"],
) -> Float[Tensor, "context next_cell"]:
    """Log-likelihood of each next cell after each context: the sum over ranks.

    Logits are computed for some contexts at a time; where that takes more than one turn, the
    backward pass computes them again.

    Args:
        features: What the vocabulary's rows are multiplied with, rank by rank for each context.
        weight: The vocabulary's rows.
        bias: One number for each of the vocabulary.
        genes: Of each next cell at each rank; negative where it has none, which adds nothing.
    """
    num_ranks = max(1, genes.shape[1])
    rows = rows_per_chunk(len(features), len(weight), features.device.type)
    chunks = features.split(max(1, rows // num_ranks) * num_ranks)
    is_there, found = genes >= 0, genes.clamp(min=0)
    if len(chunks) == 1 or not torch.is_grad_enabled():
        parts = [_scores(chunk, weight, bias, found, is_there) for chunk in chunks]
    else:
        parts = [
            checkpoint(_scores, chunk, weight, bias, found, is_there, use_reentrant=False)
            for chunk in chunks
        ]
    return torch.cat(parts)


def _scores(
    features: Float[Tensor, "context_x_rank feature"],
    weight: Float[Tensor, "vocab feature"],
    bias: Float[Tensor, " vocab"],
    genes: Int[Tensor, "next_cell rank"],
    is_there: Bool[Tensor, "next_cell rank"],
) -> Float[Tensor, "context next_cell"]:
    logits = F.linear(features, weight, bias)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    num_ranks = max(1, genes.shape[1])
    by_context = logits.view(-1, num_ranks, logits.shape[1])
    which = genes.T.expand(len(by_context), -1, -1) if genes.numel() else genes.T[None]
    of_genes = by_context.gather(2, which)
    log_probs = of_genes - by_context.logsumexp(2, keepdim=True)
    return (log_probs * is_there.T).sum(1)
