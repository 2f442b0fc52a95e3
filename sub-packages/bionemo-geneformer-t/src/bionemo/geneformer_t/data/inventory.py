"""What a data folder holds: splits, cells, genes, graphs and vocabulary, without training on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.scdl import neighbor_matrix
from bionemo.geneformer_t.data.cell_store import H5AD, CellStore
from bionemo.geneformer_t.data.fingerprints import cells_fingerprint
from bionemo.geneformer_t.data.folder import MEDIANS, SPLITS, VOCAB, split_folders
from bionemo.geneformer_t.data.gene_coverage import known_fraction, notes_on_left_out
from bionemo.geneformer_t.data.successors import ANY_KEY, NEIGHBORS
from bionemo.geneformer_t.data.token_encoder import counted_columns, tokens_of_columns
from bionemo.geneformer_t.dictionaries import read_json
from bionemo.geneformer_t.vocab import GeneVocab

IN_ARCHIVE = "the SCDL archive"
"""What the neighbors of an archive are called, which do not record their key."""


@dataclass(frozen=True, kw_only=True)
class SplitInventory:
    """One split, read with one vocabulary."""

    folder: Path
    store: CellStore
    graphs: Mapping[str, int]
    """Keys of the graphs in neighbors.json and obsp, and the edges that are stored there."""
    own_vocab: GeneVocab | None
    """That of the split's own files."""
    fingerprint: str
    """Names and counts of the cells; see `data.fingerprints`."""
    genes: int
    """Columns that are genes of these cells."""
    genes_known: int
    """Columns that the vocabulary knows."""
    counts_known: float
    """Fraction of all counts that is on them."""
    genes_per_cell: int
    """Median over cells of how many genes of the vocabulary they express."""
    empty_cells: int
    """Cells that express none of them."""
    left_out: tuple[str, ...] = ()
    """What is no gene of these cells and therefore left out."""

    def serves(self, key: str) -> bool:
        """Whether successors are found when this key is asked for."""
        return any(name in self.graphs for name in (key, ANY_KEY, IN_ARCHIVE))


@dataclass(frozen=True, kw_only=True)
class DataInventory:
    """A data folder, read with one vocabulary."""

    folder: Path
    made_by: str | None
    """The command that wrote it; None for a folder made by hand."""
    vocab: GeneVocab | None
    """That of the training split."""
    splits: Mapping[str, SplitInventory]


def take_inventory(folder: Path, vocab: GeneVocab | None = None) -> DataInventory:
    """Read every split of a data folder.

    Args:
        folder: Holds train, val or test.
        vocab: Genes are looked up here; by default in the vocabulary of the training split.

    Raises:
        FileNotFoundError: No such folder, no split in it, or no vocabulary.
        ValueError: A file is damaged, or the values are no raw counts.
    """
    present = split_folders(folder)
    if not present:
        raise FileNotFoundError(_no_splits(folder))
    first = next(iter(present.values()))
    own = own_vocab(first)
    looked_up = vocab or own
    if looked_up is None:
        raise FileNotFoundError(
            f"{first} holds no {VOCAB} with {MEDIANS}; expected both beside the "
            "training cells. `geneformer-t prepare` writes them"
        )
    return DataInventory(
        folder=folder,
        made_by=_made_by(folder),
        vocab=own,
        splits={name: _of_split(path, looked_up) for name, path in present.items()},
    )


def own_vocab(split_dir: Path) -> GeneVocab | None:
    """The vocabulary of a split's own files; None where one of the two is missing."""
    files = split_dir / VOCAB, split_dir / MEDIANS
    return GeneVocab.read(*files) if all(file.is_file() for file in files) else None


def stored_graphs(split_dir: Path, store: CellStore) -> dict[str, int]:
    """The key of every graph of a split, and the number of its edges as they are stored."""
    found: dict[str, int] = {}
    if (split_dir / H5AD).is_file():
        with open_hdf5(split_dir / H5AD) as file:
            group = file.get("obsp", {})
            found |= {key: _stored_values(group[key]) for key in sorted(group)}
    else:
        matrix = neighbor_matrix(store.archive)
        found |= {} if matrix is None else {IN_ARCHIVE: int(matrix.nnz)}
    if (split_dir / NEIGHBORS).is_file():
        content = read_json(split_dir / NEIGHBORS)
        if not _maps_to_cells(content):
            raise ValueError(
                f"{split_dir / NEIGHBORS} must hold {{key: {{cell id: [cell ids]}}}}; it does not"
            )
        found |= {key: sum(map(len, graph.values())) for key, graph in content.items()}
    return found


def _of_split(folder: Path, vocab: GeneVocab) -> SplitInventory:
    store = CellStore.open(folder)
    tokens = tokens_of_columns(store.genes, vocab)
    lengths = _known_genes(store, tokens)
    return SplitInventory(
        folder=folder,
        store=store,
        graphs=stored_graphs(folder, store),
        own_vocab=own_vocab(folder),
        fingerprint=cells_fingerprint(store),
        genes=int(counted_columns(store.genes, tokens).sum()),
        genes_known=int((tokens >= 0).sum()),
        counts_known=known_fraction(store, tokens),
        genes_per_cell=int(np.median(lengths)),
        empty_cells=int((lengths == 0).sum()),
        left_out=tuple(notes_on_left_out(store, tokens)),
    )


def _known_genes(store: CellStore, tokens: Int[ndarray, " column"]) -> Int[ndarray, " cell"]:
    """How many columns with a token each cell expresses."""
    is_known = tokens >= 0
    numbers = np.zeros(len(store), dtype=np.int64)
    for rows, _, columns, pointers in store.blocks():
        numbers[rows] = np.diff(np.concatenate([[0], np.cumsum(is_known[columns])])[pointers])
    return numbers


def _maps_to_cells(content: object) -> bool:
    """Whether neighbors.json has the form of graphs, so that edges can be counted."""
    return isinstance(content, dict) and all(
        isinstance(graph, dict) and all(isinstance(cells, list | dict) for cells in graph.values())
        for graph in content.values()
    )


def _stored_values(matrix: h5py.Group | h5py.Dataset) -> int:
    is_sparse = isinstance(matrix, h5py.Group)
    return len(matrix["data"]) if is_sparse else int(np.count_nonzero(matrix[()]))


def _made_by(folder: Path) -> str | None:
    record = folder / "made_by.json"
    content = read_json(record) if record.is_file() else {}
    return content.get("command") if isinstance(content, dict) else None


def _no_splits(folder: Path) -> str:
    if not folder.is_dir():
        return f"expected a data folder at {folder}; there is none"
    held = ", ".join(sorted(child.name for child in folder.iterdir())) or "nothing"
    is_split = (folder / H5AD).is_file()
    return (
        f"{folder} is no data folder: it holds none of {', '.join(SPLITS)}, only {held}. "
        + ("This is one split; give the folder above it" if is_split else
           "`geneformer-t prepare` and `geneformer-t simulate` make such folders")
    )  # fmt: skip
