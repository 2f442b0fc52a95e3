"""Genes of the inputs under one name each: symbols mapped, versions stripped, doubles summed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.features import SPIKE_IN, of_genome
from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.gene_lookup import (
    GeneLookup,
    ensembl_species,
    is_ensembl_id,
    split_genome,
    without_version,
)

ALL_GENOMES = "all"
"""Takes the genes of all genomes of a file."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class GeneChoice:
    """What decides which columns are genes, and what they are called."""

    gene_names: Mapping[str, str] | None = field(default=None, repr=False)
    """Symbols, synonyms and old ids to gene ids."""
    tokens: Collection[str] | None = field(default=None, repr=False)
    """The genes of the vocabulary, where that is not learned from the data."""
    genome: str | None = None
    """Of a file with several genomes, the one to keep, or `all`."""
    keep_spike_ins: bool = False
    """Take spike-ins as genes."""


@dataclass(frozen=True, kw_only=True)
class GeneTable:
    """What became of the columns of an input matrix."""

    given: tuple[str, ...]
    """The name of each column as it came."""
    readable: tuple[str, ...] = field(repr=False)
    """The symbol of each column where it came with one, else its name."""
    names: tuple[str, ...]
    """One name for each gene: an Ensembl id where there is one, else the name that came."""
    gene_of_column: Int[ndarray, " column"]
    """Which of `names` each input column is; several may be one gene, -1 is left out."""
    is_mapped: Bool[ndarray, " gene"]
    """Genes that the dictionary knows or whose name is an Ensembl id; all without dictionary."""
    symbols: Mapping[str, str] = field(repr=False)
    """Names that came, for the names that they became, without those of two genes."""
    left_out: tuple[str, ...] = field(repr=False)
    """Why a column is left out; empty where it is a gene."""
    has_id: Bool[ndarray, " gene"]
    """Genes whose name is more than a symbol that no dictionary knows."""
    genomes: tuple[str, ...] = ()
    """The genomes of the input, where there are several."""
    notes: tuple[str, ...] = ()

    @property
    def num_merged(self) -> int:
        """Columns that were added to another one of the same name."""
        return int((self.gene_of_column >= 0).sum()) - len(self.names)


@dataclass(frozen=True, kw_only=True)
class JoinedGenes:
    """The genes of several inputs, in the order in which they first appear."""

    names: tuple[str, ...]
    tables: tuple[GeneTable, ...]
    """The table of each input."""
    gene_of_column: tuple[Int[ndarray, " _"], ...]
    """For each input, which of `names` each of its columns is; -1 is left out."""
    is_mapped: Bool[ndarray, " gene"]
    num_inputs: Int[ndarray, " gene"]
    """How many inputs name each gene; in the others its counts are 0."""

    @property
    def symbols(self) -> Mapping[str, str]:
        """Names that came, for the names that they became; the first input decides."""
        joined: dict[str, str] = {}
        for table in reversed(self.tables):
            joined.update(table.symbols)
        return joined


def resolve_genes(
    genes: GeneNames, choice: GeneChoice | None = None, where: str = "the input"
) -> GeneTable:
    """Name the genes of an input as the vocabulary and the dictionary do.

    A name is looked up by id, then by symbol, first in the vocabulary and then in the dictionary:
    what the model would read a column as is what it is called here.

    Args:
        genes: What the columns of the input are called there.
        choice: Dictionary, vocabulary, and which columns to keep.
        where: What to call the input in messages.

    Raises:
        ValueError: The input has several genomes and none is chosen.
    """
    choice = choice or GeneChoice()
    genes, notes = choose_genome(genes, choice.genome, where)
    if choice.keep_spike_ins:
        kept = tuple("" if reason == SPIKE_IN else reason for reason in genes.left_out)
        genes = replace(genes, left_out=kept)
    resolve = _Resolver(choice.gene_names, choice.tokens)
    columns = zip(genes.names, genes.symbols, genes.is_counted, strict=True)
    resolved = [resolve(name, symbol) if is_gene else "" for name, symbol, is_gene in columns]
    names = tuple(dict.fromkeys(name for name in resolved if name))
    place = {name: i for i, name in enumerate(names)}
    has_id = np.array([is_ensembl_id(name) or resolve.knows(name) for name in names], dtype=bool)
    return GeneTable(
        given=genes.names,
        readable=genes.readable,
        names=names,
        gene_of_column=np.array([place.get(name, -1) for name in resolved], dtype=np.int64),
        is_mapped=has_id | (choice.gene_names is None),
        symbols=_symbols(genes.symbols, resolved),
        left_out=genes.left_out,
        has_id=has_id,
        genomes=tuple(sorted({*genes.genomes} - {""})),
        notes=notes,
    )


def choose_genome(
    genes: GeneNames, genome: str | None, where: str
) -> tuple[GeneNames, tuple[str, ...]]:
    """Leave out the genes of other genomes, where there are several.

    Args:
        genes: The columns of an input.
        genome: The one to keep, or `ALL_GENOMES`.
        where: What to call the input.

    Returns:
        The columns, and a note where several genomes are kept.

    Raises:
        ValueError: It has several genomes and none is named, or another one.
    """
    counted = zip(genes.genomes, genes.left_out, strict=True)
    there = Counter(name for name, reason in counted if name and not reason)
    if not there:
        return genes, ()
    shown = ", ".join(f"{name} ({number:,} genes)" for name, number in sorted(there.items()))
    if genome == ALL_GENOMES:
        return genes, (f"{where}: genes of {len(there)} genomes are taken: {shown}",)
    if genome not in there:
        named = "" if genome is None else f"; there is no {genome}"
        raise ValueError(
            f"{where} holds genes of {len(there)} genomes: {shown}{named}. Choose one with "
            f"--genome {min(there)}, or take all with --genome {ALL_GENOMES}"
        )
    left_out = (
        reason or ("" if name in {"", genome} else of_genome(name))
        for reason, name in zip(genes.left_out, genes.genomes, strict=True)
    )
    return replace(genes, left_out=tuple(left_out)), ()


def join_genes(tables: Sequence[GeneTable]) -> JoinedGenes:
    """One list of genes for several inputs: every gene of any of them.

    A gene that an input knows by symbol alone is the one that other inputs have under that symbol
    and an id, where they agree.
    """
    tables = [_with_ids_of_others(table, tables) for table in tables]
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    place = {name: i for i, name in enumerate(names)}
    is_mapped, num_inputs = np.zeros(len(names), dtype=bool), np.zeros(len(names), dtype=np.int64)
    columns = []
    for table in tables:
        joined = np.array([place[name] for name in table.names], dtype=np.int64)
        is_mapped[joined] |= table.is_mapped
        num_inputs[joined] += 1
        columns.append(np.where(table.gene_of_column < 0, -1, joined[table.gene_of_column]))
    return JoinedGenes(
        names=names,
        tables=tuple(tables),
        gene_of_column=tuple(columns),
        is_mapped=is_mapped,
        num_inputs=num_inputs,
    )


def check_shared_genes(genes: JoinedGenes, inputs: Sequence[str], least: float) -> None:
    """Refuse inputs that hardly share genes: a gene counts 0 wherever an input lacks it.

    Args:
        genes: The joined genes.
        inputs: What to call each input.
        least: The fraction of the genes of the smaller of two inputs that the other must have too.

    Raises:
        ValueError: With the figures, and what to do.
    """
    for i, first in enumerate(genes.tables):
        for j, second in enumerate(genes.tables[:i]):
            shared = len(set(first.names) & set(second.names))
            fraction = shared / min(len(first.names), len(second.names))
            if shared and fraction >= least:
                continue
            raise ValueError(
                f"{inputs[j]} and {inputs[i]} share {shared:,} of {len(second.names):,} and "
                f"{len(first.names):,} genes, {fraction:.0%} of the smaller one's; at least "
                f"{least:.0%} must be shared, for a gene counts 0 where an input lacks it. The "
                f"first names genes like {', '.join(second.names[:_SHOWN])}, the second like "
                f"{', '.join(first.names[:_SHOWN])}. Give a dictionary from the names of one to "
                "those of the other with --gene_names, write the inputs with the same genes, or "
                "lower --min_shared_genes"
            )


class _Resolver:
    """The name of a gene, by id and symbol."""

    def __init__(
        self, gene_names: Mapping[str, str] | None, tokens: Collection[str] | None
    ) -> None:
        dictionary = gene_names or {}
        self._in_vocabulary = None if tokens is None else GeneLookup(tokens, dictionary)
        self._in_dictionary = GeneLookup(dictionary.values(), dictionary)
        self._species = {ensembl_species(gene) for gene in dictionary.values()} - {""}

    def __call__(self, name: str, symbol: str) -> str:
        found = None
        if self._in_vocabulary is not None:
            found = self._in_vocabulary.find(name) or self._in_vocabulary.find(symbol)
        if found is None:
            found = self._in_dictionary.find(name)
        bare = without_version(split_genome(name)[1])
        if found is None and ensembl_species(bare) not in self._species:
            # An id of the dictionary's species is one that it does not know; it stays. Symbols of
            # another species may lead to ids of this one.
            found = self._in_dictionary.find(symbol)
        return found or bare

    def knows(self, name: str) -> bool:
        """Whether the dictionary or the vocabulary has it."""
        lookups = (self._in_vocabulary, self._in_dictionary)
        return any(lookup is not None and lookup.find(name) is not None for lookup in lookups)


def _symbols(symbols: Sequence[str], resolved: Sequence[str]) -> dict[str, str]:
    """Symbols of genes; a symbol that two genes have is left out."""
    found: dict[str, str] = {}
    ambiguous = set()
    for symbol, name in zip(symbols, resolved, strict=True):
        bare = split_genome(symbol)[1]
        if not name or not bare or bare == name or is_ensembl_id(bare):
            continue
        if found.setdefault(bare, name) != name:
            ambiguous.add(bare)
    return {symbol: name for symbol, name in found.items() if symbol not in ambiguous}


def _with_ids_of_others(table: GeneTable, tables: Sequence[GeneTable]) -> GeneTable:
    """A table whose genes without id have that of the same symbol in other tables."""
    ids: dict[str, set[str]] = {}
    for other in tables:
        if other is not table:
            for symbol, name in other.symbols.items():
                ids.setdefault(symbol, set()).add(name)
    renamed = [
        next(iter(ids[name])) if not has_id and len(ids.get(name, ())) == 1 else name
        for name, has_id in zip(table.names, table.has_id, strict=True)
    ]
    if renamed == list(table.names):
        return table
    names = tuple(dict.fromkeys(renamed))
    place = {name: i for i, name in enumerate(names)}
    new = np.array([place[name] for name in renamed], dtype=np.int64)
    is_mapped, has_id = np.zeros((2, len(names)), dtype=bool)
    np.logical_or.at(is_mapped, new, table.is_mapped)
    np.logical_or.at(has_id, new, table.has_id)
    changed = {old: name for old, name in zip(table.names, renamed, strict=True) if old != name}
    return replace(
        table,
        names=names,
        gene_of_column=np.where(table.gene_of_column < 0, -1, new[table.gene_of_column]),
        is_mapped=is_mapped,
        has_id=has_id,
        symbols={**changed, **table.symbols},
    )
