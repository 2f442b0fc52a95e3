"""Symbols of a vocabulary's genes, for wherever a person reads."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.gene_lookup import is_stable_id, split_genome
from bionemo.geneformer_t.vocab import GeneVocab


def symbols_of(
    vocab: GeneVocab,
    genes: GeneNames | None = None,
    token_of_column: Int[ndarray, " column"] | None = None,
) -> tuple[str, ...]:
    """The symbol of each token; empty where it has none but its name.

    Args:
        vocab: Its symbols are used where the data name none.
        genes: What the data call their genes (`feature_name`, `gene_symbols`, 10x's second column).
        token_of_column: The token of each of them; -1 for none.
    """
    symbols = list(vocab.symbols)
    if genes is not None and token_of_column is not None:
        for symbol, token in zip(genes.symbols, token_of_column.tolist(), strict=True):
            if token >= 0:
                bare = split_genome(symbol)[1]
                is_new = bare and bare != vocab.tokens[token] and not is_stable_id(bare)
                symbols[token] = bare if is_new else symbols[token]
    return tuple(symbols)


def readable_names(vocab: GeneVocab, symbols: Sequence[str]) -> ndarray:
    """The symbol of each token, else its name."""
    pairs = zip(symbols, vocab.tokens, strict=True)
    return np.array([symbol or token for symbol, token in pairs], dtype=object)
