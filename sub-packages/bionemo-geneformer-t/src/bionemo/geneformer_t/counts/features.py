"""Which columns of a count matrix are no genes: other types of features, spike-ins, no name at all.

Also which genome a gene is of, where a file holds several.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.gene_lookup import ensembl_species, split_genome

SPIKE_IN, NO_NAME = "spike-ins", "columns without id and symbol"
"""Why a column is left out; otherwise the type of its feature, or its genome."""

_TYPE_COLUMNS = ("feature_types", "feature_type", "feature_biotype")
_GENOME_COLUMNS = ("genome", "genomes")
_FEATURES = "features of type "
_LEAST_OF_A_SPECIES = 100
"""Genes; fewer are transgenes, and no genome."""

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


def why_no_genes(
    texts: dict[str, list[str]], names: Sequence[str], symbols: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Why each column is no gene, by the type of its feature or its name, and notes.

    Args:
        texts: The columns of `var` that hold text.
        names: The name of each column of the matrix.
        symbols: Its second name.
    """
    reasons = [_why_no_gene(*both) for both in zip(names, symbols, strict=True)]
    notes = []
    by_name = columns_named(texts, _TYPE_COLUMNS)
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
    return tuple(reasons), notes


def genomes_of(
    texts: dict[str, list[str]],
    names: Sequence[str],
    symbols: Sequence[str],
    left_out: Sequence[str],
) -> tuple[str, ...]:
    """The genome of each gene where there are several, by a column or by what names begin with.

    Without either, ids of Ensembl tell the species.
    """
    found = next((texts[c] for c in columns_named(texts, _GENOME_COLUMNS)), None)
    if found is None or len(_genomes_of_genes(found, left_out)) < 2:
        pairs = zip(names, symbols, strict=True)
        found = [split_genome(name)[0] or split_genome(symbol)[0] for name, symbol in pairs]
    if len(_genomes_of_genes(found, left_out)) < 2:
        found = _species(names)
    several = _genomes_of_genes(found, left_out)
    return tuple(found) if len(several) > 1 else ("",) * len(names)


def of_genome(genome: str) -> str:
    """Why a gene of another genome is left out."""
    return f"genes of genome {genome}"


def left_out_notes(
    where: str, names: Sequence[str], left_out: Sequence[str], counts: Float[ndarray, " column"]
) -> list[str]:
    """A sentence for each reason why columns were left out, with their fraction of all counts.

    Args:
        where: What to call the matrix.
        names: What a person reads of each column.
        left_out: Why each is left out; empty where it is not.
        counts: Of each column.
    """
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


def columns_named(texts: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns with one of these names, in their order, whatever case and separators."""
    wanted = {_plain(name): place for place, name in enumerate(names)}
    return sorted((c for c in texts if _plain(c) in wanted), key=lambda c: wanted[_plain(c)])


def _why_no_gene(name: str, symbol: str) -> str:
    if not name:
        return NO_NAME
    if name.lower() in _READ_SUMMARIES:
        return f"{_FEATURES}summary of reads"
    return SPIKE_IN if _SPIKE_IN.fullmatch(name) or _SPIKE_IN.fullmatch(symbol) else ""


def _are_types(values: Sequence[str]) -> bool:
    """Whether a column of any name holds types of features: genes, and others that are known."""
    kinds = {_plain(value) for value in {*values} if value}
    others = kinds - _GENE_TYPES
    return 0 < len(others) < len(kinds) and all(map(_OTHER_TYPES.search, others))


def _genomes_of_genes(genomes: Sequence[str], left_out: Sequence[str]) -> set[str]:
    return {g for g, reason in zip(genomes, left_out, strict=True) if g and not reason}


def _species(names: Sequence[str]) -> list[str]:
    """What the Ensembl ids of each gene's species begin with, where the species has many."""
    found = [ensembl_species(name) for name in names]
    number = Counter(found)
    return [species if number[species] >= _LEAST_OF_A_SPECIES else "" for species in found]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
