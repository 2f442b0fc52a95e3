"""What the columns of a count matrix are called, and which of them are counted as genes.

One resolution for all that read counts: `var` of any file goes in, one name and one symbol for each
column come out, with the reason why a column is left out where it is. Tools disagree about where
they write ids, so the column of ids is recognised by what it holds; a gene without an id falls back
on its symbol, and is never one gene with all others without an id.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.gene_lookup import ensembl_species, is_stable_id, split_genome

OWN_COLUMN = "feature_id"
"""The column of `var` in which `prepare` writes what it calls a gene."""
ALL_GENOMES = "all"
"""Takes the genes of all genomes of a file."""
SPIKE_IN, NO_NAME = "spike-ins", "columns without id and symbol"
"""Why a column is left out; otherwise the type of its feature, or its genome."""

_USUAL = (OWN_COLUMN, "ensembl_id", "var_feature_id")
"""Columns that are taken where nothing holds ids; the last is what SCDL calls an index."""
_ID_COLUMNS = (
    *_USUAL, "gene_ids", "gene_id", "ensembl", "ensembl_ids", "ensembl_gene_id",
    "ensembl_gene_ids", "accession", "feature_ids", "ids", "id", "gene_stable_id", "stable_id",
)  # fmt: skip
_SYMBOL_COLUMNS = (
    "feature_name", "gene_symbol", "gene_symbols", "gene_name", "gene_names", "symbol", "symbols",
    "gene_short_name", "hgnc_symbol", "external_gene_name", "gene", "name",
)  # fmt: skip
_TYPE_COLUMNS = ("feature_types", "feature_type", "feature_biotype")
_GENOME_COLUMNS = ("genome", "genomes")
_MISSING = frozenset(
    {"", "-", "--", ".", "?", "na", "n/a", "#n/a", "nan", "<na>", "none", "null", "nil"}
)
"""What stands for no value, whatever its case."""
_MADE_UNIQUE = re.compile(r"(?P<value>|nan|na|<na>|none|null)[-._]\d{1,6}", re.IGNORECASE)
"""The same after anndata or R has made names unique: `nan-1`, `NA.2`, `-3`."""
_LEAST_OF_A_SPECIES = 100
"""Genes; fewer are transgenes, and no genome."""
_FEATURES = "features of type "
_SHOWN = 3
_GENE_TYPES = frozenset({"geneexpression", "gene", "genes", "gex", "rna", "mrna", "expression"})
_OTHER_TYPES = re.compile(
    r"antibody|adt|hto|hashtag|crispr|guide|grna|multiplex|peak|atac|chromatin|antigen|vdj"
    r"|custom|protein(?!coding)|spikein|celltag|lineagebarcode"
)
_SPIKE_IN = re.compile(
    r"(?:(?:ercc|sirv)(?:92)?[-_.]+)?(?:ERCC[-_.]?\d{5}|SIRV\d{1,3})", re.IGNORECASE
)
_READ_SUMMARIES = frozenset(
    {
        "__no_feature", "__ambiguous", "__too_low_aqual", "__not_aligned",
        "__alignment_not_unique", "n_unmapped", "n_multimapping", "n_nofeature", "n_ambiguous",
    }
)  # fmt: skip
"""The last lines of a table by htseq-count, and the first ones by STAR: reads of no gene."""


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

    @property
    def is_counted(self) -> Bool[ndarray, " column"]:
        """Which columns are genes."""
        return np.array([reason == "" for reason in self.left_out], dtype=bool)

    def of_source(self) -> dict[str, Any]:
        """What a `CountSource` says of its columns, by its fields: the same for every format."""
        return {
            "gene_names": self.names,
            "gene_symbols": self.symbols,
            "left_out": self.left_out,
            "genomes": self.genomes,
            "removed": self.removed(),
        }

    def removed(self) -> "RemovedFeatures | None":
        """Takes the counts of features that are no genes out of a matrix; None where all are."""
        removed = RemovedFeatures(self.left_out)
        return removed if removed.is_removed.any() else None


class RemovedFeatures:
    """Takes counts of other features than genes out of blocks of a matrix, and adds them up.

    Spike-ins and genes of other genomes stay: a model that was trained on them reads them.
    """

    def __init__(self, left_out: Sequence[str]) -> None:
        self.is_removed = np.array(
            [reason == NO_NAME or reason.startswith(_FEATURES) for reason in left_out], dtype=bool
        )
        """Which columns are taken out."""
        self.counts: Float[ndarray, " column"] = np.zeros(len(left_out))
        """What was taken out of each column in the last pass that took anything out."""
        self._is_new_pass = False

    def start(self) -> None:
        """Begin a pass over the matrix."""
        self._is_new_pass = True

    def drop(self, counts: sp.csr_array, first_column: int) -> sp.csr_array:
        """A block without their values."""
        columns = counts.indices + np.int64(first_column)
        gone = self.is_removed[columns]
        if not gone.any():
            return counts
        here = np.bincount(
            columns[gone], counts.data[gone].astype(np.float64), minlength=len(self.counts)
        )
        self.counts = here if self._is_new_pass else self.counts + here
        self._is_new_pass = False
        inside = self.is_removed[first_column : first_column + counts.shape[1]]
        return without_columns(counts, inside)


def without_columns(counts: sp.csr_array, gone: Bool[ndarray, " column"]) -> sp.csr_array:
    """Rows without the values of some columns, which stay as columns of zeros."""
    kept = ~gone[counts.indices]
    before = np.concatenate([[0], np.cumsum(kept)])
    parts = (counts.data[kept], counts.indices[kept], before[counts.indptr])
    return sp.csr_array(parts, shape=counts.shape)


def name_genes(var: pd.DataFrame, where: str = "the data") -> GeneNames:
    """Find ids, symbols and kinds in `var`, whoever wrote it.

    * The id of a gene is taken from the column or the index that holds most ids of genes, of those
      whose name says that it holds ids; else from any other column most of which are ids.
      `feature_id` comes first where it holds any id, or the names that the index has.
    * Values such as NaN, `-` or `NA` are no id, and neither is one that is unlike an id and stands
      for several genes.
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
    kinds, notes = _kinds(texts, len(index))
    left_out = tuple(
        kind or _why_no_gene(name, symbol)
        for kind, name, symbol in zip(kinds, names, symbols, strict=True)
    )
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
        genomes=_genomes(texts, names, symbols, left_out),
        id_column=column,
        notes=tuple(f"{where}: {note}" for note in said),
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


def of_genome(genome: str) -> str:
    """Why a gene of another genome is left out."""
    return f"genes of genome {genome}"


def left_out_notes(
    where: str, names: Sequence[str], left_out: Sequence[str], counts: Float[ndarray, " column"]
) -> list[str]:
    """A sentence for each reason why columns were left out, with their share of all counts."""
    columns: dict[str, list[int]] = {}
    for column, reason in enumerate(left_out):
        if reason:
            columns.setdefault(reason, []).append(column)
    total = max(float(counts.sum()), 1.0)
    notes = []
    for reason, found in columns.items():
        shown = ", ".join(names[column] for column in found[:_SHOWN] if names[column])
        such_as = f" (such as {shown})" if shown else ""
        notes.append(
            f"{where}: {len(found):,} {reason}{such_as}, with {counts[found].sum() / total:.1%} of "
            "all counts, were left out"
        )
    return notes


def _why_no_gene(name: str, symbol: str) -> str:
    if not name:
        return NO_NAME
    if name.lower() in _READ_SUMMARIES:
        return f"{_FEATURES}summary of reads"
    return SPIKE_IN if _SPIKE_IN.fullmatch(name) or _SPIKE_IN.fullmatch(symbol) else ""


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
    by_name = _by_name(texts, _ID_COLUMNS)
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
    """The index, unless that holds the ids or mere numbers and a column holds symbols."""
    by_name = [c for c in _by_name(texts, _SYMBOL_COLUMNS) if c != column]
    of_other_use = column is None or all(name.isdigit() for name in index)
    if column not in {None, *_USUAL}:
        of_other_use |= _share_of_ids(index) > 0.5
    if not by_name or not of_other_use:
        return index
    return [symbol or name for symbol, name in zip(texts[by_name[0]], index, strict=True)]


def _kinds(texts: dict[str, list[str]], num_columns: int) -> tuple[list[str], list[str]]:
    """Why each column is no gene by the type of its feature, and notes."""
    reasons, notes = [""] * num_columns, []
    by_name = _by_name(texts, _TYPE_COLUMNS)
    for column in (*by_name, *(c for c in texts if c not in by_name and _are_types(texts[c]))):
        types = Counter(texts[column])
        plain = {kind: _plain(kind) for kind in types}
        has_genes = any(word in _GENE_TYPES for word in plain.values())
        is_biotype = any(word in {"proteincoding", "lncrna"} for word in plain.values())
        other = {
            kind
            for kind, word in plain.items()
            if kind
            and word not in _GENE_TYPES
            and (_OTHER_TYPES.search(word) or (has_genes and not is_biotype))
        }
        if not has_genes and not is_biotype and len(other) < len([kind for kind in types if kind]):
            shown = ", ".join(f"{kind} ({types[kind]:,})" for kind in types if kind not in other)
            notes.append(f"var[{column!r}] knows no Gene Expression; taken as genes: {shown}")
        for i, kind in enumerate(texts[column]):
            if kind in other:
                reasons[i] = SPIKE_IN if "spikein" in plain[kind] else f"{_FEATURES}{kind}"
    return reasons, notes


def _are_types(values: Sequence[str]) -> bool:
    """Whether a column of any name holds types of features: genes, and others that are known."""
    kinds = {_plain(value) for value in {*values} if value}
    others = kinds - _GENE_TYPES
    return 0 < len(others) < len(kinds) and all(map(_OTHER_TYPES.search, others))


def _genomes(
    texts: dict[str, list[str]],
    names: Sequence[str],
    symbols: Sequence[str],
    left_out: Sequence[str],
) -> tuple[str, ...]:
    """The genome of each gene where there are several, by a column or by what names begin with.

    Without either, ids of Ensembl tell the species.
    """
    found = next((texts[c] for c in _by_name(texts, _GENOME_COLUMNS)), None)
    if found is None or len(_genomes_of_genes(found, left_out)) < 2:
        pairs = zip(names, symbols, strict=True)
        found = [split_genome(name)[0] or split_genome(symbol)[0] for name, symbol in pairs]
    if len(_genomes_of_genes(found, left_out)) < 2:
        found = _species(names)
    several = _genomes_of_genes(found, left_out)
    return tuple(found) if len(several) > 1 else ("",) * len(names)


def _genomes_of_genes(genomes: Sequence[str], left_out: Sequence[str]) -> set[str]:
    return {g for g, reason in zip(genomes, left_out, strict=True) if g and not reason}


def _species(names: Sequence[str]) -> list[str]:
    """What the Ensembl ids of each gene's species begin with, where the species has many."""
    found = [ensembl_species(name) for name in names]
    number = Counter(found)
    return [species if number[species] >= _LEAST_OF_A_SPECIES else "" for species in found]


def _by_name(texts: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns with one of these names, in their order, whatever case and separators."""
    wanted = {_plain(name): place for place, name in enumerate(names)}
    return sorted((c for c in texts if _plain(c) in wanted), key=lambda c: wanted[_plain(c)])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _bare(name: str) -> str:
    return split_genome(name)[1]


def _number_of_ids(values: Sequence[str]) -> int:
    return sum(is_stable_id(_bare(value)) for value in values)


def _share_of_ids(values: Sequence[str]) -> float:
    """The share of the values there are."""
    there = sum(map(bool, values))
    return _number_of_ids(values) / there if there else 0.0


def _mostly_equal(values: Sequence[str], others: Sequence[str]) -> bool:
    return sum(map(str.__eq__, values, others)) > len(values) / 2


def _without_shared(ids: Sequence[str]) -> list[str]:
    """Without what several genes have in place of an id, such as `unknown`."""
    times = Counter(ids)
    return ["" if times[i] > 1 and not is_stable_id(_bare(i)) else i for i in ids]
