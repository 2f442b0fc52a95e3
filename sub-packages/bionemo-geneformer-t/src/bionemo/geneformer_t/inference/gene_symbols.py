"""Symbols of a vocabulary's genes, wherever a person reads or names them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.gene_lookup import (
    gene_labels,
    in_capitals,
    is_stable_id,
    split_genome,
    without_version,
)
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


def find_genes(
    names: Sequence[str], vocab: GeneVocab, symbols: Sequence[str]
) -> Int[ndarray, " name"]:
    """The token of each gene that a person names, by id or by any symbol that is known for it.

    Args:
        names: Ids, symbols of the vocabulary, or symbols that a person reads.
        vocab: Knows the genes.
        symbols: Of each token, as `symbols_of` gives them.

    Returns:
        Tokens; -1 where nothing is called so.

    Raises:
        ValueError: A symbol stands for several genes, or is another gene's in the vocabulary.
    """
    read: dict[str, list[int]] = {}
    for token, symbol in enumerate(symbols):
        for name in {symbol, in_capitals(symbol)} - {"", None}:
            read.setdefault(str(name), []).append(token)
    found = []
    for name, known in zip(names, vocab.encode(names).tolist(), strict=True):
        if known >= 0 and without_version(name) == without_version(vocab.tokens[known]):
            found.append(known)
            continue
        also = read.get(name) or read.get(in_capitals(name) or "", [])
        tokens = list(dict.fromkeys([*([known] if known >= 0 else []), *also]))
        if len(tokens) > 1:
            labels = gene_labels(vocab.decode(tokens), [symbols[token] for token in tokens])
            raise ValueError(
                f"genes: {name} stands for {len(tokens)} genes, {', '.join(labels)}; give the id "
                "of the one that you mean"
            )
        found.append(tokens[0] if tokens else -1)
    return np.array(found, dtype=np.int64)
