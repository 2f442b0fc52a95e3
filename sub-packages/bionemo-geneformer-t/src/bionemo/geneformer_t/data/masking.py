"""Which genes of the next cell are kept, which are scored, and what the model sees of those."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt64
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings, TokenSelectionPolicy
from bionemo.geneformer_t.data.sampling import substreams, uniform, words
from bionemo.geneformer_t.ragged import Ragged, offsets_of, places_within

_SHOWN_STREAM, _REPLACEMENT_STREAM = 1, 2
"""Random streams of a next cell, beside the one that chooses what is scored."""


@dataclass(frozen=True, kw_only=True)
class ScoredCells:
    """The scored genes of many next cells, concatenated."""

    ids: Int[ndarray, " scored"]
    """Tokens shown to the model: [MASK], a random gene or the gene itself."""
    ranks: Int[ndarray, " scored"]
    """Their ranks in their cell, from 1, ascending."""
    labels: Int[ndarray, " scored"]
    """The true genes."""
    offsets: Int[ndarray, " cells_plus_1"]
    """Where the genes of each cell begin."""


def select_tokens(
    next_cell: Integer[ndarray, " next_gene"],
    current_cell: Integer[ndarray, " current_gene"],
    policy: TokenSelectionPolicy,
) -> Integer[ndarray, " gene"]:
    """The genes of the next cell under a policy, given both cells whole and in rank order.

    `intersection` keeps the next cell's order; `union` appends the genes that only the current
    cell expresses, in the current cell's order.
    """
    if policy == "intersection":
        return next_cell[_is_in(next_cell, current_cell)]
    if policy == "union":
        lacking = current_cell[~_is_in(current_cell, next_cell)]
        return np.concatenate([next_cell, lacking])
    return next_cell


def num_scored(num_genes: Int[ndarray, " cell"], mask_prob: float) -> Int[ndarray, " cell"]:
    """How many genes of each next cell are scored: a fraction, and at least one if there is one."""
    fraction = np.rint(mask_prob * num_genes).astype(np.int64)
    return np.minimum(np.maximum(fraction, 1), num_genes)


def score(
    cells: Ragged,
    keys: UInt64[ndarray, " cell"],
    gene_ids: Int[ndarray, " vocab_gene"],
    mask_id: int,
    settings: PairSettings,
) -> ScoredCells:
    """Draw the scored genes of next cells and what is shown in their place.

    Args:
        cells: Each next cell's tokens in rank order, already cut.
        keys: The random stream of each next cell.
        gene_ids: Tokens that are genes; random replacements come from here.
        mask_id: The token `[MASK]`.
        settings: The fractions that are scored, masked and replaced.
    """
    lengths = cells.lengths
    number = num_scored(lengths, settings.mask_prob)
    places = places_within(lengths)
    drawn = words(np.repeat(keys, lengths), places)
    scored = lowest(drawn, lengths, number)
    labels, places = cells.values[scored].astype(np.int64), places[scored]

    draw = uniform(np.repeat(substreams(keys, _REPLACEMENT_STREAM), number), places)
    replacements = gene_ids[(draw * len(gene_ids)).astype(np.int64)]
    draw = uniform(np.repeat(substreams(keys, _SHOWN_STREAM), number), places)
    shown = np.where(
        draw < settings.mask_token_prob + settings.random_token_prob, replacements, labels
    )
    shown[draw < settings.mask_token_prob] = mask_id
    return ScoredCells(ids=shown, ranks=places + 1, labels=labels, offsets=offsets_of(number))


def lowest(
    drawn: UInt64[ndarray, " gene"], lengths: Int[ndarray, " cell"], number: Int[ndarray, " cell"]
) -> Int[ndarray, " scored"]:
    """The genes that drew the lowest words of their cell: a uniform choice of `number`, ascending.

    Random words fill their range evenly, so those below a cut a little above the wanted fraction
    are almost surely enough, and only they are sorted: a fifth of the genes, a third of the time.

    Args:
        drawn: The word of each gene of the concatenated cells; no two of a cell are equal.
        lengths: Genes of each cell.
        number: How many are wanted of each.
    """
    below = np.flatnonzero(drawn <= np.repeat(_cuts(lengths, number), lengths))
    bounds = np.searchsorted(below, offsets_of(lengths))
    if (np.diff(bounds) < number).any():  # words that are not random, or one group in a billion
        below, bounds = np.arange(len(drawn)), offsets_of(lengths)
    words_below = drawn[below]
    highest = np.zeros(len(lengths), dtype=np.uint64)
    for cell, wanted in enumerate(number.tolist()):
        if wanted:
            of_cell = np.sort(words_below[bounds[cell] : bounds[cell + 1]])
            highest[cell] = of_cell[wanted - 1]
    return below[words_below <= np.repeat(highest, np.diff(bounds))]


def _cuts(
    lengths: Int[ndarray, " cell"], number: Int[ndarray, " cell"]
) -> UInt64[ndarray, " cell"]:
    """Words below which almost surely `number` of a cell's are: six deviations and some more."""
    size = np.maximum(lengths, 1)
    fraction = number / size
    cuts = fraction + 6 * np.sqrt(fraction * (1 - fraction) / size) + 20 / size
    found = np.full(len(lengths), np.iinfo(np.uint64).max, dtype=np.uint64)
    found[cuts < 1] = (cuts[cuts < 1] * 2.0**64).astype(np.uint64)
    return found


def _is_in(
    tokens: Integer[ndarray, " token"], others: Integer[ndarray, " other"]
) -> Bool[ndarray, " token"]:
    """Membership by a table over all tokens, which is many times faster than sorting."""
    table = np.zeros(1 + max(tokens.max(initial=0), others.max(initial=0)), dtype=bool)
    table[others] = True
    return table[tokens]
