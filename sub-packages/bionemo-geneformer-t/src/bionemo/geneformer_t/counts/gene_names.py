"""What the columns of a count matrix are called, and which of them are counted as genes.

One resolution for all that read counts: `var` of any file goes in, one name and one symbol for each
column come out, with the reason why a column is left out where it is (`counts.features`). Tools
disagree about where they write ids, so the column of ids is recognised by what it holds; a gene
without an id is called by its symbol, and is never one gene with all others without an id.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.counts.features import (
    RemovedFeatures,
    columns_named,
    genomes_of,
    why_no_genes,
)
from bionemo.geneformer_t.gene_lookup import is_stable_id, split_genome

OWN_COLUMN = "feature_id"
"""The column of `var` in which `prepare` writes what it calls a gene."""
OWN_SYMBOLS = "feature_name"
"""The column in which it writes the symbols of genes of several inputs."""

_USUAL = (OWN_COLUMN, "ensembl_id", "var_feature_id")
"""Columns that are taken where nothing holds ids; the last is what SCDL calls an index."""
_ID_COLUMNS = (
    *_USUAL, "gene_ids", "gene_id", "ensembl", "ensembl_ids", "ensembl_gene_id",
    "ensembl_gene_ids", "accession", "feature_ids", "ids", "id", "gene_stable_id", "stable_id",
)  # fmt: skip
_SYMBOL_COLUMNS = (
    OWN_SYMBOLS, "gene_symbol", "gene_symbols", "gene_name", "gene_names", "symbol", "symbols",
    "gene_short_name", "hgnc_symbol", "external_gene_name", "gene", "name",
)  # fmt: skip
_MISSING = frozenset(
    {"", "-", "--", ".", "?", "na", "n/a", "#n/a", "nan", "<na>", "none", "null", "nil"}
)
"""What means that there is no value, in any case."""
_MADE_UNIQUE = re.compile(r"(?P<value>|nan|na|<na>|none|null)[-._]\d{1,6}", re.IGNORECASE)
"""The same after anndata or R has made names unique: `nan-1`, `NA.2`, `-3`."""


@dataclass(frozen=True, kw_only=True)
class GeneNames:
    """The columns of a count matrix."""

    names: tuple[str, ...] = field(repr=False)
    """The id of each, else its symbol; empty where it has neither."""
    symbols: tuple[str, ...] = field(repr=False)
    """The second name of each, to fall back on."""
    left_out: tuple[str, ...] = field(repr=False)
    """Why a column is no gene that is counted; empty where it is one."""
    genomes: tuple[str, ...] = field(repr=False)
    """The genome of each, where there are several; otherwise empty."""
    id_column: str | None = None
    """The column of `var` that holds the ids; None for its index."""
    notes: tuple[str, ...] = ()
    """What a reader should know, apart from what was left out."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "GeneNames":
        """Genes that have one name each."""
        nothing = ("",) * len(names)
        return cls(names=tuple(names), symbols=tuple(names), left_out=nothing, genomes=nothing)

    @property
    def is_counted(self) -> Bool[ndarray, " column"]:
        """Which columns are genes."""
        return np.array([reason == "" for reason in self.left_out], dtype=bool)

    @cached_property
    def readable(self) -> tuple[str, ...]:
        """What a person reads: the symbol of each where there is one, else its name."""
        return tuple(
            name if not symbol or symbol.isdigit() or is_stable_id(_bare(symbol)) else symbol
            for name, symbol in zip(self.names, self.symbols, strict=True)
        )

    @cached_property
    def removed(self) -> RemovedFeatures | None:
        """Takes the counts of features that are no genes out of a matrix; None where all are."""
        removed = RemovedFeatures(self.left_out)
        return removed if removed.is_removed.any() else None


def name_genes(var: pd.DataFrame, where: str = "the data") -> GeneNames:
    """Find ids, symbols and kinds in `var`, by whatever program it was written.

    * The id of a gene is taken from the column or the index that holds most ids of genes, of those
      whose name says that it holds ids; else from any other column most of which are ids.
      `feature_id` comes first where it holds any id, or the names that the index has.
    * Values such as NaN, `-` or `NA` are no id, and neither is one that is unlike an id and names
      several genes.
    * Other features (antibodies, guides, peaks), spike-ins and columns without any name are left
      out.

    Args:
        var: One row for each column of the matrix.
        where: What to call the matrix in messages and notes.

    Raises:
        ValueError: No column is a gene; says what they are.
    """
    index = _texts(var.index)
    texts = {
        str(name): _texts(column)
        for name, column in var.items()
        if _is_text(column) or name in _USUAL
    }
    column = _find_ids(texts, index)
    ids = index if column is None else texts[column]
    if column is not None and _share_of_ids(ids) > 0.5:
        ids = _without_shared(ids)
    symbols = _find_symbols(texts, index, column)
    names = tuple(a or b or c for a, b, c in zip(ids, symbols, index, strict=True))
    left_out, notes = why_no_genes(texts, names, symbols)
    if names and all(left_out):
        found = ", ".join(f"{number:,} {why}" for why, number in Counter(left_out).items())
        raise ValueError(
            f"{where}: none of the {len(names):,} columns is a gene: {found}. Give the matrix of "
            "gene expression, or call the type of its features 'Gene Expression' (in the third "
            "column of features.tsv, or in var['feature_types'])"
        )
    said = (*_notes_on_ids(column, ids, left_out), *notes)
    return GeneNames(
        names=names,
        symbols=tuple(symbols),
        left_out=left_out,
        genomes=genomes_of(texts, names, symbols, left_out),
        id_column=column,
        notes=tuple(f"{where}: {note}" for note in said),
    )


def _is_text(column: "pd.Series[Any]") -> bool:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return bool(pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values))


def _texts(values: "pd.Series[Any] | pd.Index[Any]") -> list[str]:
    """Text as it came, empty where there is none; ids of genes without blanks around them.

    Names that differ in a blank alone are two names: one would hold the counts of both.
    """
    there = values.notna()
    texts = [str(value) for value in values]
    return [
        _without_blanks(text) if known and not is_missing_name(text) else ""
        for text, known in zip(texts, there, strict=True)
    ]


def _without_blanks(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped != text and is_stable_id(stripped) else text


def is_missing_name(text: str) -> bool:
    """Whether a text says that there is no name: blanks, `-`, `NA`, `nan` and the like."""
    stripped = text.strip()
    return stripped.lower() in _MISSING or _MADE_UNIQUE.fullmatch(stripped) is not None


def _find_ids(texts: dict[str, list[str]], index: list[str]) -> str | None:
    """The column that holds ids; None for the index."""
    by_name = columns_named(texts, _ID_COLUMNS)
    number: dict[str | None, int] = {
        None: _number_of_ids(index),
        **{c: _number_of_ids(texts[c]) for c in texts},
    }
    share: dict[str | None, float] = {
        None: _share_of_ids(index),
        **{c: _share_of_ids(texts[c]) for c in texts},
    }
    own = texts.get(OWN_COLUMN)
    if own is not None and (number[OWN_COLUMN] or _mostly_equal(own, index)):
        return OWN_COLUMN
    named: list[str | None] = [c for c in by_name if c in _USUAL]
    named += [None, *(c for c in by_name if c not in _USUAL)]
    for candidates in (named, [c for c in texts if c not in by_name]):
        good = [c for c in candidates if share[c] > 0.5]
        if good:
            return max(good, key=lambda c: number[c])
    return next((c for c in _USUAL if any(texts.get(c, ()))), None)


def _notes_on_ids(column: str | None, ids: Sequence[str], left_out: Sequence[str]) -> Iterator[str]:
    """Where the ids come from, unless that is usual, and how many genes have none."""
    if column is not None and column not in _USUAL:
        yield f"genes are named by the ids in var[{column!r}]"
    missing = sum(not name and not why for name, why in zip(ids, left_out, strict=True))
    if column is not None and missing:
        yield f"{missing:,} genes without an id in var[{column!r}] go by their symbol"


def _find_symbols(texts: dict[str, list[str]], index: list[str], column: str | None) -> list[str]:
    """The index, or a column of symbols where the index is an id, or holds ids or mere numbers."""
    by_name = [c for c in columns_named(texts, _SYMBOL_COLUMNS) if c != column]
    of_other_use = column is None or all(name.isdigit() for name in index)
    of_other_use |= column is not None and _mostly_equal(texts[column], index)
    if column not in {None, *_USUAL}:
        of_other_use |= _share_of_ids(index) > 0.5
    if not by_name:
        return index
    return [
        symbol if symbol and (of_other_use or is_stable_id(name)) else name
        for symbol, name in zip(texts[by_name[0]], index, strict=True)
    ]


def _bare(name: str) -> str:
    return split_genome(name)[1]


def _number_of_ids(values: Sequence[str]) -> int:
    return sum(is_stable_id(_bare(value)) for value in values)


def _share_of_ids(values: Sequence[str]) -> float:
    """The fraction of the values there are."""
    there = sum(map(bool, values))
    return _number_of_ids(values) / there if there else 0.0


def _mostly_equal(values: Sequence[str], others: Sequence[str]) -> bool:
    return sum(map(str.__eq__, values, others)) > len(values) / 2


def _without_shared(ids: Sequence[str]) -> list[str]:
    """Without what several genes have in place of an id, such as `unknown`."""
    times = Counter(ids)
    return ["" if times[i] > 1 and not is_stable_id(_bare(i)) else i for i in ids]
