"""Finds genes by the names in data: versioned ids, symbols in another case, prefixes of genomes.

One class answers for the report of `prepare`, for training and for prediction, so that a column of
counts is the same gene in all three.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

_VERSIONED = re.compile(r"(ENS[A-Z]*G\d+)\.\d+")
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d+(?:\.\d+)?")
_SPECIES = re.compile(r"ENS[A-Z]*G(?=\d)")
_STABLE_ID = re.compile(
    r"(?:ENS[A-Z]*G\d+(?:\.\d+)?(?:_PAR_Y)?|FBgn\d{7}|WBGene\d{8}|AT[1-5CM]G\d{5}"
    r"|Y[A-P][LR]\d{3}[CW](?:-[A-Z])?)"
)
"""Ids of genes: of Ensembl, FlyBase, WormBase, TAIR (Arabidopsis) and SGD (yeast)."""
_ASSEMBLY = (
    r"HUMAN|MOUSE|human|mouse|GRC[a-z]\d+|hg\d+|mm\d+|rn\d+|mRatBN\d|danRer\d+|dm\d+|ce\d+"
    r"|galGal\d+|susScr\d+|sacCer\d+|rheMac\d+|Mmul_\d+|T2T|CHM13"
)
_GENOME = re.compile(rf"(?P<genome>(?:{_ASSEMBLY})(?:[-.][\w.-]*?)?)_+(?P<name>[^_].*)")
"""A name with its assembly before it, as 10x writes files of several genomes (`mm10___Xkr4`)."""
_DASHED = re.compile(rf"(?P<genome>{_ASSEMBLY})-+(?P<name>[^-_]+(?:-[^_]*)?)")
"""The same once Seurat has made dashes of underscores (`mm10---Xkr4`)."""
_HUMAN = re.compile(r"(?<=[0-9XY])orf(?=\d)|^hsa-.*|^DKFZp|^hCG_?|^LA16c")
"""What makes human symbols have small letters: reading frames (C21orf62), microRNAs, clones."""


def is_stable_id(name: str) -> bool:
    """Whether a name is the stable id of a gene, with or without version."""
    return _STABLE_ID.fullmatch(name) is not None


def is_ensembl_id(name: str) -> bool:
    """Whether a name is an id of Ensembl's, with or without version."""
    return _ENSEMBL.fullmatch(name) is not None


def ensembl_species(name: str) -> str:
    """What the Ensembl ids of a species begin with; empty where a name is none."""
    match = _SPECIES.match(name) if is_ensembl_id(name) else None
    return match[0] if match else ""


def without_version(name: str) -> str:
    """An Ensembl id without its version; any other name as it is."""
    match = _VERSIONED.fullmatch(name) if "." in name else None
    return match[1] if match else name


def gene_labels(names: Sequence[str], symbols: Sequence[str]) -> list[str]:
    """What to call genes where their ids matter: `ENSG00000128573 (FOXP2)`, or the name alone."""
    pairs = zip(names, symbols, strict=True)
    return [f"{name} ({symbol})" if symbol and symbol != name else name for name, symbol in pairs]


def split_genome(name: str) -> tuple[str, str]:
    """The assembly that a name begins with, and the rest; an empty one where there is none."""
    pattern = _GENOME if "_" in name else _DASHED
    match = pattern.fullmatch(name) if "_" in name or "-" in name else None
    return (match["genome"], match["name"]) if match else ("", name)


def in_capitals(name: str) -> str | None:
    """A human symbol in capitals; None for symbols of other species, such as Sox2 or sox2.

    Some tools write all symbols in capitals, others the few small letters that human symbols have.
    Symbols of mice differ from human ones by their letters' case alone, so no other case is folded.
    """
    if name == name.upper():
        return name
    folded = _HUMAN.sub(lambda match: match[0].upper(), name)
    return folded if folded == folded.upper() else None


class GeneLookup:
    """Finds names among tokens.

    Args:
        tokens: Genes, by id or symbol.
        synonyms: Other names of genes (symbols, old ids); those of no token find nothing.
    """

    def __init__(self, tokens: Iterable[str], synonyms: Mapping[str, str]) -> None:
        self._tokens = {token: token for token in tokens if token}
        unversioned = _unambiguous((without_version(token), token) for token in self._tokens)
        self._unversioned = {**unversioned, **self._tokens}
        self._synonyms = {
            name: token
            for name, target in synonyms.items()
            if name and (token := self._by_id(target)) is not None
        }
        names = {**self._synonyms, **self._tokens}
        self._in_capitals = _unambiguous(
            (folded, token)
            for name, token in names.items()
            if (folded := in_capitals(name)) is not None
        )

    def find(self, name: str) -> str | None:
        """The token of a gene, or None.

        In this order: the name itself, the id whatever its version, a synonym, a human symbol
        whatever its case; then the same without the assembly that the name begins with.
        """
        found = self._by_id(name) or self._synonyms.get(name)
        if found is None:
            found = self._synonyms.get(without_version(name))
        if found is None and (folded := in_capitals(name)) is not None:
            found = self._in_capitals.get(folded)
        if found is None and (bare := split_genome(name)[1]) != name:
            found = self.find(bare)
        return found

    def _by_id(self, name: str) -> str | None:
        return self._tokens.get(name) or self._unversioned.get(without_version(name))


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The pairs as a dictionary, without names of two tokens."""
    found: dict[str, str] = {}
    ambiguous = set()
    for name, token in pairs:
        if found.setdefault(name, token) != token:
            ambiguous.add(name)
    return {name: token for name, token in found.items() if name not in ambiguous}
