"""The vocabulary and the gene names that `prepare` works with, and whether they fit the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_medians import gene_medians
from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.join_inputs import InputCells
from bionemo.geneformer_t.data.token_encoder import tokens_of_columns
from bionemo.geneformer_t.dictionaries import read_dictionary
from bionemo.geneformer_t.gene_lookup import gene_labels
from bionemo.geneformer_t.prepare.learned_vocabulary import learn_vocab, vocab_from_file
from bionemo.geneformer_t.prepare.published_vocabulary import NAMED, find_vocab
from bionemo.geneformer_t.prepare.settings import LEARNED, PrepareSettings
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_medians, read_tokens

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class VocabSource:
    """Where vocabulary, medians and gene names come from."""

    tokens: Path | None
    """None learns the vocabulary from the training cells."""
    medians: Path | None
    gene_names: dict[str, str] | None
    """Symbols, synonyms and old ids to gene ids; None leaves all names as they are."""
    genes: tuple[str, ...] | None = None
    """The genes of the vocabulary; None where it is learned."""


def vocab_source(settings: PrepareSettings) -> VocabSource:
    """Find the files that the settings name.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or maps symbols to something else than ids.
    """
    given = _given_names(settings.gene_names)
    name = str(settings.vocab)
    if name in NAMED:
        files = find_vocab(name, settings.dictionaries)
        return VocabSource(
            tokens=files.tokens,
            medians=settings.medians or files.medians,
            gene_names={**files.gene_names(), **given},
            genes=_genes(read_tokens(files.tokens)[0]),
        )
    if name == LEARNED:
        return VocabSource(tokens=None, medians=settings.medians, gene_names=given or None)
    path = Path(settings.vocab)
    if not path.is_file():
        raise FileNotFoundError(
            f"vocab: expected {LEARNED}, {', '.join(NAMED)} or a file; there is no file {path}"
        )
    tokens, symbols = read_tokens(path)
    return VocabSource(
        tokens=path,
        medians=settings.medians,
        gene_names={**symbols, **given} or None,
        genes=_genes(tokens),
    )


def make_vocab(
    source: VocabSource,
    cells: InputCells,
    train: Bool[ndarray, " cell"],
    settings: PrepareSettings,
) -> tuple[GeneVocab, list[str]]:
    """The vocabulary of the folder, and notes on what had to be completed."""
    genes = cells.genes

    def learned() -> Any:
        return gene_medians(
            lambda: cells.counts.blocks(train, "taking medians"),
            len(genes.names),
            settings.target_sum,
        )

    if source.tokens is not None:
        return vocab_from_file(
            source.tokens, source.medians, learned, genes.names, gene_to_ens=genes.symbols
        )
    vocab = learn_vocab(
        learned(),
        genes.names,
        gene_to_ens=genes.symbols,
        known=genes.is_mapped.tolist(),
        medians=None if source.medians is None else read_medians(source.medians),
    )
    return vocab, []


def known_genes(var: "pd.DataFrame", vocab: GeneVocab) -> Bool[ndarray, " gene"]:
    """Which genes of the folder training finds in the vocabulary.

    Args:
        var: As it is written to data.h5ad.
        vocab: The folder's.
    """
    return tokens_of_columns(name_genes(var), vocab) >= 0


def check_mapped(
    cells: InputCells, known: Bool[ndarray, " gene"], vocab: GeneVocab, settings: PrepareSettings
) -> float:
    """The fraction of all counts that is on genes of the vocabulary.

    Raises:
        ValueError: It is less than `min_mapped_counts`.
    """
    names, per_gene = cells.genes.names, cells.counts_of_gene
    fraction = float(per_gene[known].sum() / per_gene.sum())
    if fraction < settings.min_mapped_counts:
        columns = np.flatnonzero(~known)
        strongest = columns[np.argsort(-per_gene[columns], kind="stable")[:5]]
        labels = gene_labels(names, name_genes(cells.var).readable)
        advice = (
            "give the dictionary from these names to Ensembl ids as gene_names"
            if settings.gene_names is None
            else f"does {settings.gene_names} belong to this species?"
        )
        raise ValueError(
            f"only {fraction:.1%} of the counts are on genes of the vocabulary ({known.sum():,} of "
            f"{len(known):,} genes); at least {settings.min_mapped_counts:.0%} must be. Unknown "
            f"genes with most counts: {', '.join(labels[i] for i in strongest)}. The vocabulary "
            f"names genes like {', '.join(vocab.genes[:3])}: {advice}, learn a vocabulary from "
            "these data with vocab='data', or lower min_mapped_counts"
        )
    return fraction


def _genes(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(token for token in tokens if token not in SPECIAL_TOKENS)


def _given_names(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    given = read_dictionary(path)
    odd = next((symbol for symbol, gene in given.items() if not isinstance(gene, str)), None)
    if odd is not None:
        raise ValueError(
            f"{path} must map gene symbols to gene ids; it maps {odd!r} to {given[odd]!r}"
        )
    return given
