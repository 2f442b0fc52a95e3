"""Made-up splits for benchmarks: any number of cells, written at once as SCDL archives.

Genes are spread evenly over the columns and counts have a heavy tail, as in real cells; each cell's
successors are the next few rows. Nothing here is learned from, so that is enough.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from bionemo.scdl.util.scdl_constants import FileNames

from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.scdl import survey, write_archive
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.counts.stored_matrix import row_blocks
from bionemo.geneformer_t.vocab import GeneVocab

NUM_GENES, SUCCESSORS = 25_000, 3


def make_vocab(num_genes: int = NUM_GENES, seed: int = 0) -> GeneVocab:
    """A vocabulary of all genes with medians between 0.5 and 8."""
    medians = np.exp(np.random.default_rng(seed).uniform(np.log(0.5), np.log(8), num_genes))
    names = [f"ENSG{gene:011d}" for gene in range(num_genes)]
    return GeneVocab.of_genes(dict(zip(names, medians.round(4).tolist(), strict=True)))


def typical_lengths(median: int, spread: float, number: int, seed: int = 0) -> np.ndarray:
    """Genes per cell as in 10x data: log-normal."""
    drawn = median * np.exp(np.random.default_rng(seed).normal(0, spread, number))
    return np.clip(drawn.astype(np.int64), 1, NUM_GENES)


def counts_of(lengths: np.ndarray, seed: int) -> sp.csr_array:
    """Cells with so many expressed genes."""
    generator = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)
    step = NUM_GENES / np.repeat(lengths, lengths)
    columns = ((within + generator.random(len(within), dtype=np.float32)) * step).astype(np.int32)
    np.minimum(columns, NUM_GENES - 1, out=columns)
    counts = 1 + np.exp(generator.normal(-0.5, 1.2, len(within))).astype(np.float32).astype(
        np.int32
    )
    found = sp.csr_array((counts, columns, indptr), shape=(len(lengths), NUM_GENES))
    found.sum_duplicates()
    return found


def make_split(folder: Path, lengths: np.ndarray) -> Path:
    """A split folder: an archive of cells of these lengths, successors and a vocabulary."""
    num_cells = len(lengths)

    def blocks() -> Iterator[tuple[sp.csr_array, int, int]]:
        for rows in row_blocks(num_cells):
            yield counts_of(lengths[rows], seed=rows.start), rows.start, 0

    vocab = make_vocab()
    source = CountSource(
        where=str(folder),
        cell_ids=tuple(map(str, range(num_cells))),
        genes=GeneNames.of(vocab.genes),
        raw_blocks=blocks,
    )
    folder.mkdir(parents=True)
    write_archive(source, survey(source), folder / "scdl")
    _write_successors(folder / "scdl", num_cells)
    vocab.write(folder / "geneformer.vocab", folder / "medians.json")
    return folder


def _write_successors(archive: Path, num_cells: int) -> None:
    following = np.arange(num_cells)[:, None] + np.arange(1, SUCCESSORS + 1)
    following %= num_cells
    arrays = {
        FileNames.NEIGHBOR_INDICES: following.ravel().astype("uint32"),
        FileNames.NEIGHBOR_INDICES_PTR: np.arange(num_cells + 1, dtype="uint64") * SUCCESSORS,
        FileNames.NEIGHBOR_VALUES: np.tile(np.float32([1.0, 0.5, 0.25]), num_cells),
    }
    for name, values in arrays.items():
        values.tofile(archive / name.value)
