"""The vocabulary of a data folder: learned from training cells, or taken from files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_medians, read_tokens


def learn_vocab(
    learned: Float[ndarray, " gene"],
    genes: Sequence[str],
    *,
    gene_to_ens: Mapping[str, str] | None = None,
    known: Sequence[bool] | None = None,
    medians: Mapping[str, float] | None = None,
) -> GeneVocab:
    """The genes that training cells express, with their medians.

    Args:
        learned: The median of each gene over the training cells, NaN where none expresses it.
        genes: The name of each gene.
        gene_to_ens: Symbols of the genes.
        known: Which genes may enter; all by default.
        medians: Medians to use instead of those of the training cells; only its genes enter.

    Raises:
        ValueError: No gene is left.
    """
    enters = np.isfinite(learned) & (True if known is None else np.asarray(known))
    chosen = {
        gene: float(learned[i]) if medians is None else float(medians[gene])
        for i, gene in enumerate(genes)
        if enters[i] and (medians is None or gene in medians)
    }
    if not chosen:
        raise ValueError(
            "no gene is left for the vocabulary: none is expressed in the training cells, or the "
            "dictionaries given name the genes otherwise; "
            f"the data call them {', '.join(list(genes)[:5])}"
        )
    wanted = {s: gene for s, gene in (gene_to_ens or {}).items() if gene in chosen}
    return GeneVocab.of_genes(chosen, wanted)


def vocab_from_file(
    path: Path,
    medians: Path | None,
    learn_medians: Callable[[], Float[ndarray, " gene"]],
    genes: Sequence[str],
    *,
    gene_to_ens: Mapping[str, str] | None = None,
) -> tuple[GeneVocab, list[str]]:
    """The vocabulary in a file, with medians from a file or from the training cells.

    Special tokens that the file lacks, as Geneformer's own dictionaries lack `[SEP]` or `[UKW]`, go
    to the end, so that the others keep their ids and pretrained embeddings stay valid.

    Args:
        path: The vocabulary.
        medians: The medians, or None to learn them.
        learn_medians: Computes the median of each of `genes` over the training cells.
        genes: The genes of the data.
        gene_to_ens: Symbols to add to those in the file.

    Returns:
        The vocabulary, and notes for the reader about what had to be completed.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or the medians lack genes of the vocabulary.
    """
    tokens, symbols = read_tokens(path)
    added = [token for token in SPECIAL_TOKENS if token not in tokens]
    tokens = (*tokens, *added)
    own = set(tokens)
    symbols |= {s: gene for s, gene in (gene_to_ens or {}).items() if gene in own}
    notes = []
    if added:
        notes.append(
            f"{path} lacks {', '.join(added)}; added at its end, {len(tokens):,} tokens in all"
        )
    if medians is not None:
        values = read_medians(medians)
    else:
        values, note = _medians_for(tokens, learn_medians(), genes)
        notes += note
    try:
        return GeneVocab(tokens=tokens, medians=values, gene_to_ens=symbols), notes
    except ValueError as error:
        where = f"{path}" if medians is None else f"{path} with {medians}"
        raise ValueError(f"{where}: {error}") from error


def _medians_for(
    tokens: Sequence[str], medians: Float[ndarray, " gene"], genes: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """Medians of the training cells; genes without one are assigned the median of the others."""
    learned = dict(zip(genes, medians.tolist(), strict=True))
    wanted = [token for token in tokens if token not in SPECIAL_TOKENS]
    found = {gene: learned[gene] for gene in wanted if np.isfinite(learned.get(gene, np.nan))}
    if not found:
        raise ValueError(
            "training cells express no gene of the vocabulary; the vocabulary names genes like "
            f"{', '.join(wanted[:3])}, the data like {', '.join(list(genes)[:3])}; give a "
            "dictionary from one to the other as gene_names"
        )
    median = float(np.median(list(found.values())))
    absent = [gene for gene in wanted if gene not in found]
    note = [
        f"no medians were given: taken from the training cells; {len(absent):,} genes of the "
        f"vocabulary are not expressed there and are assigned the median of the other genes' "
        f"medians, {median:.3g}"
    ]
    return {**found, **dict.fromkeys(absent, median)}, note
