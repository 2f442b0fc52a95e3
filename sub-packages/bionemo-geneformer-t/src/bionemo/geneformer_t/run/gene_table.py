"""Genes of the inputs under one name each: symbols mapped, versions stripped, doubles summed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from bionemo.geneformer_t.data.count_source import GENE_ID_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_VERSIONED = re.compile(r"^(ENS[A-Z]*G\d+)(\.\d+)?$")


@dataclass(frozen=True, kw_only=True)
class GeneTable:
    """What became of the columns of an input matrix."""

    given: tuple[str, ...]
    """The name of each column as it came."""
    names: tuple[str, ...]
    """One name for each gene: an Ensembl id where there is one, else the name that came."""
    gene_of_column: Int[ndarray, " column"]
    """Which of `names` each input column is; several columns may be one gene."""
    is_mapped: Bool[ndarray, " gene"]
    """Genes that the dictionary knows or whose name is an Ensembl id; all without dictionary."""
    symbols: Mapping[str, str] = field(repr=False)
    """Names that came, for the names that they became."""

    @property
    def num_merged(self) -> int:
        """Columns that were added to another one of the same name."""
        return len(self.gene_of_column) - len(self.names)


@dataclass(frozen=True, kw_only=True)
class JoinedGenes:
    """The genes of several inputs, in the order in which they first appear."""

    names: tuple[str, ...]
    tables: tuple[GeneTable, ...]
    """The table of each input."""
    gene_of_column: tuple[Int[ndarray, " _"], ...]
    """For each input, which of `names` each of its columns is."""
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


def resolve_genes(var: "pd.DataFrame", gene_names: Mapping[str, str] | None = None) -> GeneTable:
    """Name the genes of an input.

    Args:
        var: Genes by `feature_id`, else `ensembl_id`, else by their index.
        gene_names: Symbols (synonyms, old ids) to Ensembl ids. Where most of the data's names are
            in capitals, as human symbols are, `C1orf112` also finds `C1ORF112`; mouse symbols
            never match human ones by their letters.
    """
    column = next((name for name in GENE_ID_COLUMNS if name in var), None)
    given = tuple(str(name) for name in (var.index if column is None else var[column]))
    stems = [match[1] if (match := _VERSIONED.match(name)) else name for name in given]
    ignore_case = np.mean([stem == stem.upper() for stem in stems] or [0]) > 0.5
    found = [_look_up(stem, gene_names or {}, ignore_case=bool(ignore_case)) for stem in stems]
    resolved = [name or stem for name, stem in zip(found, stems, strict=True)]
    names = tuple(dict.fromkeys(resolved))
    place = {name: i for i, name in enumerate(names)}
    known = {
        name for name, hit in zip(resolved, found, strict=True) if hit or _VERSIONED.match(name)
    }
    symbols = {
        str(symbol): name
        for symbol, name in zip(var.index, resolved, strict=True)
        if str(symbol) != name and not _VERSIONED.match(str(symbol))
    }
    return GeneTable(
        given=given,
        names=names,
        gene_of_column=np.array([place[name] for name in resolved], dtype=np.int64),
        is_mapped=np.array([gene_names is None or name in known for name in names], dtype=bool),
        symbols=symbols,
    )


def join_genes(tables: Sequence[GeneTable]) -> JoinedGenes:
    """One list of genes for several inputs: every gene of any of them."""
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    place = {name: i for i, name in enumerate(names)}
    is_mapped, num_inputs = np.zeros(len(names), dtype=bool), np.zeros(len(names), dtype=np.int64)
    columns = []
    for table in tables:
        joined = np.array([place[name] for name in table.names], dtype=np.int64)
        is_mapped[joined] |= table.is_mapped
        num_inputs[joined] += 1
        columns.append(joined[table.gene_of_column])
    return JoinedGenes(
        names=names,
        tables=tuple(tables),
        gene_of_column=tuple(columns),
        is_mapped=is_mapped,
        num_inputs=num_inputs,
    )


def _look_up(name: str, gene_names: Mapping[str, str], *, ignore_case: bool) -> str | None:
    found = gene_names.get(name)
    if found is None and ignore_case:
        found = gene_names.get(name.upper())
    return found
