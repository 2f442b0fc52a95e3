"""GeneVocab: tokens and ids, medians, symbols, and one fingerprint over them.

The vocabulary travels in checkpoints, so that a model always knows which gene a token is. Ids are
positions in `tokens`; genes are told from special tokens by name.
"""

import hashlib
import json
import reprlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.dictionaries import read_dictionary, read_json
from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.gene_lookup import GeneLookup
from bionemo.geneformer_t.some_names import some_names

CLS, MASK, PAD, SEP, UKW = SPECIAL_TOKENS = ("[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UKW]")

_GENEFORMER_SPECIALS = {"<pad>": PAD, "<mask>": MASK, "<cls>": CLS, "<eos>": SEP}
_LARGEST = sys.float_info.max  # integers of JSON may lie beyond it


@dataclass(frozen=True, kw_only=True)
class GeneVocab:
    """Genes as tokens.

    Raises:
        ValueError: A special token is missing, a token stands twice or is empty, a symbol stands
            for a special token, or a gene's median is missing, zero, negative or not finite.
    """

    tokens: tuple[str, ...]
    """The token of each id."""
    medians: Mapping[str, float] = field(repr=False)
    """Median of each gene's scaled, non-zero counts over many cells."""
    gene_to_ens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Gene symbols to the names that `tokens` uses."""

    def __post_init__(self) -> None:
        missing = [token for token in SPECIAL_TOKENS if token not in self.ids]
        if missing:
            raise ValueError(
                f"the vocabulary lacks the special tokens {', '.join(missing)}; it must hold all "
                f"of {', '.join(SPECIAL_TOKENS)} beside its genes"
            )
        if len(self.ids) != len(self.tokens):
            times = Counter(self.tokens)
            twice = sorted(token for token, number in times.items() if number > 1)
            raise ValueError(f"the vocabulary holds tokens twice: {some_names(twice)}")
        if "" in self.ids:
            raise ValueError("the vocabulary holds a token without a name; remove it")
        special = [name for name, gene in self.gene_to_ens.items() if gene in SPECIAL_TOKENS]
        if special:
            raise ValueError(
                f"gene_to_ens must map symbols to genes; it maps {_some(special, 'symbols')} to "
                f"special tokens ({special[0]} to {self.gene_to_ens[special[0]]}). Remove them"
            )
        absent = [gene for gene in self.genes if gene not in self.medians]
        if absent:
            raise ValueError(
                f"medians are missing for {_some(absent)} of the vocabulary; give a medians file "
                "made for this vocabulary, or run `geneformer-t prepare` to compute both"
            )
        wrong = [gene for gene in self.genes if not 0 < self.medians[gene] < np.inf]
        if wrong:
            raise ValueError(
                f"medians must be positive numbers; they are not for {_some(wrong)} "
                f"({wrong[0]} has {self.medians[wrong[0]]})"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def genes(self) -> tuple[str, ...]:
        """The tokens that are genes, in the order of their ids."""
        return tuple(token for token in self.tokens if token not in SPECIAL_TOKENS)

    @cached_property
    def gene_ids(self) -> Int[ndarray, " gene"]:
        """The ids of `genes`."""
        return np.array([self.ids[gene] for gene in self.genes], dtype=np.int64)

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the special tokens, in the order of `SPECIAL_TOKENS`."""
        return tuple(self.ids[token] for token in SPECIAL_TOKENS)

    @cached_property
    def median_of_id(self) -> Float[ndarray, " vocab"]:
        """The median of each id; 1 for special tokens, which no cell expresses."""
        return np.array([float(self.medians.get(token, 1.0)) for token in self.tokens])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over tokens and medians: equal exactly when token ids mean the same."""
        content = [self.tokens, [float(self.medians[gene]) for gene in self.genes]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def encode(self, names: Sequence[str]) -> Int[ndarray, " name"]:
        """The id of each gene given by id or symbol; -1 where the vocabulary does not know it.

        Versions of Ensembl ids (`ENSG00000111640.15`) are ignored on both sides, and so is the case
        of human symbols (`C21orf62`); see `gene_lookup`.
        """
        found = map(self._lookup.find, names)
        return np.array([-1 if token is None else self.ids[token] for token in found], np.int64)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbol of each id, the first of several; empty where it is not known."""
        found: dict[str, str] = {}
        for symbol, gene in self.gene_to_ens.items():
            if symbol != gene:
                found.setdefault(gene, symbol)
        return tuple(found.get(token, "") for token in self.tokens)

    @cached_property
    def _lookup(self) -> GeneLookup:
        return GeneLookup(self.genes, self.gene_to_ens)

    def decode(self, ids: Iterable[SupportsIndex]) -> list[str]:
        """The token of each id."""
        return [self.tokens[i] for i in ids]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return {
            "tokens": list(self.tokens),
            "medians": {gene: float(self.medians[gene]) for gene in self.genes},
            "gene_to_ens": dict(self.gene_to_ens),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GeneVocab":
        """The inverse of `to_dict`."""
        return cls(
            tokens=tuple(values["tokens"]),
            medians=values["medians"],
            gene_to_ens=values["gene_to_ens"],
        )

    @classmethod
    def of_genes(
        cls, medians: Mapping[str, float], gene_to_ens: Mapping[str, str] | None = None
    ) -> "GeneVocab":
        """A vocabulary of the special tokens, then the genes of `medians` in their order."""
        return cls(
            tokens=(*SPECIAL_TOKENS, *medians), medians=medians, gene_to_ens=gene_to_ens or {}
        )

    @classmethod
    def read(cls, vocab: Path, medians: Path) -> "GeneVocab":
        """Read `geneformer.vocab` (or any other vocabulary file) and `medians.json`.

        Args:
            vocab: JSON with `vocab` and `gene_to_ens`; or a JSON or pickled token dictionary; or
                one token per line. Geneformer's `<pad> <mask> <cls> <eos>` are read as
                `[PAD] [MASK] [CLS] [SEP]`.
            medians: A JSON or pickled dictionary of gene medians.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is damaged or the vocabulary is not usable; names the file.
        """
        tokens, gene_to_ens = read_tokens(vocab)
        values = read_medians(medians)
        try:
            return cls(tokens=tokens, medians=values, gene_to_ens=gene_to_ens)
        except ValueError as error:
            raise ValueError(f"{vocab} with {medians}: {error}") from error

    def write(self, vocab: Path, medians: Path) -> None:
        """Write the two files that `read` reads."""
        content = {"vocab": self.ids, "gene_to_ens": dict(self.gene_to_ens)}
        write_text(vocab, json.dumps(content, indent=0))
        write_text(medians, json.dumps(self.to_dict()["medians"], indent=0))


def read_medians(path: Path) -> dict[str, float]:
    """The median of each gene in a JSON or pickled dictionary.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or a value is no number that a float can hold.
    """
    values = read_dictionary(path)
    wrong = next((gene for gene, value in values.items() if not _is_number(value)), None)
    if wrong is not None:
        shown = reprlib.repr(values[wrong])
        raise ValueError(f"{path} must map genes to numbers; {wrong!r} has {shown}")
    return {gene: float(value) for gene, value in values.items()}


def read_tokens(path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The tokens of a vocabulary file in the order of their ids, and its symbols.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or its ids are not 0..n-1.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected the vocabulary in {path}; there is no such file")
    if path.suffix in {".pkl", ".pickle"}:
        return _ordered(read_dictionary(path), path), {}
    if not path.read_bytes()[:64].lstrip().startswith(b"{"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is neither JSON nor text in UTF-8 ({error}); a pickled dictionary must "
                "end in .pkl"
            ) from error
        return tuple(line.strip() for line in lines if line.strip()), {}
    content = read_json(path)
    symbols = content.get("gene_to_ens", {})
    ids = content["vocab"] if isinstance(content.get("vocab"), dict) else content
    if not isinstance(symbols, dict) or not all(isinstance(v, str) for v in symbols.values()):
        raise ValueError(f"{path}: `gene_to_ens` must map gene symbols to gene ids")
    return _ordered(ids, path), symbols


def _ordered(ids: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids.values()):
        raise ValueError(f"{path}: a vocabulary must map each token to its number")
    if sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(
            f"{path}: the ids of {len(ids)} tokens must be 0 to {len(ids) - 1}, each once"
        )
    in_order = sorted(ids, key=lambda token: ids[token])
    return tuple(_GENEFORMER_SPECIALS.get(token, token) for token in in_order)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and abs(value) > _LARGEST:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _some(names: Sequence[str], what: str = "genes") -> str:
    return f"{len(names)} {what} ({some_names(names)})"
