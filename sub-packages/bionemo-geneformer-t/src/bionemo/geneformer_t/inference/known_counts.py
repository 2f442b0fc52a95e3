"""Refuse cells whose counts lie on genes that a model does not know: it would predict nonsense."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.vocab import GeneVocab

_SHOWN = 5


def check_mapped_counts(
    share: float,
    least: float,
    gene_names: Sequence[str],
    is_known: Bool[ndarray, " column"],
    vocab: GeneVocab,
    cells: str,
) -> None:
    """Refuse cells of which too small a share of the counts is on known genes.

    Args:
        share: That share, from 0 to 1.
        least: The smallest that is accepted.
        gene_names: Names of the columns.
        is_known: Which of them the vocabulary knows, or need not know, being no genes.
        vocab: The model's.
        cells: Which cells these are, for the message.

    Raises:
        ValueError: With the share, some unknown genes, some known ones, and what to do.
    """
    if share >= least:
        return
    unknown = [gene_names[column] for column in np.flatnonzero(~is_known).tolist()]
    raise ValueError(
        f"only {share:.1%} of the counts of {cells} are on genes of the model's vocabulary; at "
        f"least {least:.0%} must be. {len(unknown):,} of {len(gene_names):,} genes are unknown, "
        f"such as {', '.join(unknown[:_SHOWN])}; the vocabulary names genes like "
        f"{', '.join(vocab.genes[:3])}. Use a model of the same species, name genes by Ensembl id "
        "in var['feature_id'], or lower min_mapped_counts"
    )
