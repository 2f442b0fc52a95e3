"""From names of genes to targets: one or several genes of the vocabulary that are edited together.

A name that is no gene is refused with those that are close to it, and with how many of the cells
express them: a gene that no cell expresses can be looked up but not deleted.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.inference.gene_symbols import find_genes, readable_names
from bionemo.geneformer_t.perturbation.cell_edits import Target
from bionemo.geneformer_t.some_names import some_names
from bionemo.geneformer_t.vocab import GeneVocab

TOGETHER = "+"


def read_names(genes: str) -> list[str]:
    """The names in `A,B+C`, or on the lines of the file of this name.

    Raises:
        ValueError: There is none.
    """
    path = Path(genes)
    is_file = path.is_file()
    text = path.read_text("utf-8").splitlines() if is_file else genes.split(",")
    names = [stripped for name in text if (stripped := name.strip())]
    if not names:
        where = f"the file {genes} is empty" if is_file else f"got {genes!r}"
        raise ValueError(
            "genes must be all, names with commas between them such as NEUROG3,PAX4+ARX, or a "
            f"file with one name on each line; {where}"
        )
    return list(dict.fromkeys(names))


def targets_of(
    names: Sequence[str],
    vocab: GeneVocab,
    symbols: Sequence[str],
    expressed_by: Int[ndarray, " token"],
    num_cells: int,
) -> dict[Target, str]:
    """The targets that are named, each with the name to show.

    Args:
        names: Such as `NEUROG3` or `PAX4+ARX`.
        vocab: Knows the genes.
        symbols: Of each token; empty where it has none.
        expressed_by: How many of the cells that are edited express each token.
        num_cells: These cells.

    Raises:
        ValueError: A name is no gene of the vocabulary, stands for several, or a combination holds
            the same gene twice.
    """
    apart = [[part.strip() for part in name.split(TOGETHER)] for name in names]
    parts = list(dict.fromkeys(part for combination in apart for part in combination))
    if "" in parts:
        incomplete = next(name for name, own in zip(names, apart, strict=True) if "" in own)
        raise ValueError(
            f"genes: {incomplete!r} lacks a gene beside {TOGETHER!r}; write combinations as "
            "PAX4+ARX"
        )
    tokens = dict(zip(parts, find_genes(parts, vocab, symbols).tolist(), strict=True))
    unknown = [part for part in parts if tokens[part] < 0]
    if unknown:
        raise ValueError(_unknown(unknown, vocab, symbols, expressed_by, num_cells))
    shown = readable_names(vocab, symbols)
    targets: dict[Target, str] = {}
    for name, combination in zip(names, apart, strict=True):
        _check_combination(name, combination, tokens, vocab)
        target = tuple(sorted(tokens[part] for part in combination))
        targets.setdefault(target, TOGETHER.join(shown[tokens[part]] for part in combination))
    return targets


def _is_path(name: str) -> bool:
    """Whether a name looks like that of a file: it has a folder or a short ending of letters."""
    path = Path(name)
    return len(path.parts) > 1 or path.suffix[1:].isalpha()


def all_targets(
    vocab: GeneVocab, symbols: Sequence[str], tokens: Sequence[int]
) -> dict[Target, str]:
    """A target of its own for each of these tokens."""
    shown: Mapping[int, str] = dict(enumerate(readable_names(vocab, symbols)))
    return {(token,): shown[token] for token in tokens}


def _check_combination(
    name: str, parts: Sequence[str], tokens: Mapping[str, int], vocab: GeneVocab
) -> None:
    held: dict[int, str] = {}
    for part in parts:
        if (other := held.setdefault(tokens[part], part)) is not part or parts.count(part) > 1:
            both = f"{other} and {part}, which are one gene, {vocab.tokens[tokens[part]]}"
            raise ValueError(
                f"genes: {name} names {f'{part} twice' if other == part else both}; name each gene "
                "once"
            )


def _unknown(
    unknown: Sequence[str],
    vocab: GeneVocab,
    symbols: Sequence[str],
    expressed_by: Int[ndarray, " token"],
    num_cells: int,
) -> str:
    names: dict[str, int] = {}
    for token in vocab.gene_ids.tolist():
        for name in (vocab.tokens[token], symbols[token]):
            if name:
                names.setdefault(name, token)
    folded = {name.upper(): name for name in names}
    close = [
        folded[match]
        for one in unknown
        for match in get_close_matches(one.upper(), folded, n=2, cutoff=0.7)
    ]
    hints = some_names(
        f"{name} (expressed by {expressed_by[names[name]]:,} of {num_cells:,} cells)"
        for name in dict.fromkeys(close)
    )
    read = int(np.count_nonzero(expressed_by[vocab.gene_ids]))
    return (
        f"genes: {some_names(unknown)} {'are' if len(unknown) > 1 else 'is'} not in the model's "
        f"vocabulary of {len(vocab.genes):,} genes, of which the cells express {read:,}"
        f"{f'; did you mean {hints}?' if close else '; name them by Ensembl id or symbol.'}"
        f"{' Nor is there a file of this name.' if any(map(_is_path, unknown)) else ''}"
    )
