"""Which genes of the next cell are there, which are scored, and what the model sees of those."""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings, TokenSelectionPolicy


def select_tokens(
    next_cell: Int[ndarray, " next_gene"],
    current_cell: Int[ndarray, " current_gene"],
    policy: TokenSelectionPolicy,
) -> Int[ndarray, " gene"]:
    """The genes of the next cell under a policy, given both cells whole and in rank order.

    `intersection` keeps the next cell's order; `union` appends the genes that only the current
    cell expresses, in the current cell's order.
    """
    if policy == "intersection":
        return next_cell[np.isin(next_cell, current_cell)]
    if policy == "union":
        lacking = current_cell[~np.isin(current_cell, next_cell)]
        return np.concatenate([next_cell, lacking])
    return next_cell


def num_scored(num_genes: int, mask_prob: float) -> int:
    """How many genes of a next cell are scored: its share, and at least one where there is one."""
    return min(num_genes, max(1, round(mask_prob * num_genes)))


def score(
    genes: Int[ndarray, " gene"],
    gene_ids: Int[ndarray, " vocab_gene"],
    mask_id: int,
    settings: PairSettings,
    generator: np.random.Generator,
) -> tuple[Int[ndarray, " scored"], Int[ndarray, " scored"], Int[ndarray, " scored"]]:
    """Draw the scored genes of a next cell and what is shown in their place.

    Args:
        genes: The next cell's tokens in rank order, already cut.
        gene_ids: Tokens that are genes; random replacements come from here.
        mask_id: The token `[MASK]`.
        settings: The shares that are scored, masked and replaced.
        generator: Where the draws come from.

    Returns:
        The tokens shown, their ranks (from 1, ascending), and the genes that are really there.
    """
    number = num_scored(len(genes), settings.mask_prob)
    positions = generator.choice(len(genes), number, replace=False, shuffle=False)
    positions.sort()
    labels = genes[positions]
    fate = generator.random(number)
    replacements = gene_ids[generator.integers(len(gene_ids), size=number)]
    shown = np.where(
        fate < settings.mask_token_prob + settings.random_token_prob, replacements, labels
    )
    shown[fate < settings.mask_token_prob] = mask_id
    return shown, positions + 1, labels
