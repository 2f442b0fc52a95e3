"""Writes a data folder: data.h5ad, neighbors.json, medians.json and geneformer.vocab per split.

The folder appears whole or not at all: it is written beside its final place and then renamed.
`made_by.json` records what made it, so that the same command finds its work done, and no other
folder is ever overwritten. Counts and graphs are written block by block, never held whole.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import scipy.sparse as sp
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.data.folder import MEDIANS, VOCAB
from bionemo.geneformer_t.files import whole_folder
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    import anndata
    import pandas as pd

RECORD = "made_by.json"
_CELLS = 4096
_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SplitContent:
    """The cells of one split and the graphs over them."""

    obs: "pd.DataFrame"
    """One row for each cell, ids in the index."""
    var: "pd.DataFrame"
    """One row for each gene."""
    row_lengths: Int[ndarray, " cell"]
    """Genes that each cell expresses."""
    blocks: Callable[[], Iterable[sp.csr_array]]
    """Raw counts in consecutive rows."""
    graphs: Mapping[str, NeighborGraph]
    """Each neighbor key and its graph; rows are the rows of `obs`."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """More names of graphs."""
    obsm: Mapping[str, Any] = field(default_factory=dict)
    uns: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: "anndata.AnnData", graphs: Mapping[str, NeighborGraph]) -> "SplitContent":
        """A split that is in memory."""
        counts = sp.csr_array(cells.X)
        return cls(
            obs=cells.obs,
            var=cells.var,
            row_lengths=counts.indptr[1:] - counts.indptr[:-1],
            blocks=lambda: [counts],
            graphs=graphs,
            obsm=dict(cells.obsm),
            uns=dict(cells.uns),
        )


def is_done(output_dir: Path, record: Mapping[str, Any]) -> bool:
    """Whether a data folder with this record is already there.

    Raises:
        FileExistsError: The folder holds anything else.
        NotADirectoryError: There is a file in its place.
    """
    if not output_dir.exists():
        return False
    if not output_dir.is_dir():
        raise NotADirectoryError(f"output_dir must be a folder; {output_dir} is a file")
    if not any(output_dir.iterdir()):
        return False
    made_by = output_dir / RECORD
    if made_by.is_file() and made_by.read_text(encoding="utf-8") == _as_json(record):
        return True
    what = "made with other settings or input" if made_by.is_file() else "not made by this command"
    raise FileExistsError(
        f"output_dir {output_dir} holds files {what}; choose another folder, or remove this one"
    )


@contextmanager
def new_data_folder(output_dir: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to fill, which takes its place when the context ends well.

    Raises:
        FileExistsError: `output_dir` holds something.
        OSError: It cannot be written.
    """
    with whole_folder(output_dir) as folder:
        yield folder
        (folder / RECORD).write_text(_as_json(record), encoding="utf-8")


def write_data_folder(
    output_dir: Path,
    splits: Mapping[str, SplitContent],
    vocab: GeneVocab,
    record: Mapping[str, Any],
) -> Path:
    """Write all splits, then put the folder in its place.

    Raises:
        FileExistsError: `output_dir` holds something.
        OSError: It cannot be written.
    """
    with new_data_folder(output_dir, record) as folder:
        for name, split in splits.items():
            write_split(folder / name, split, vocab)
    return output_dir


def write_split(folder: Path, split: SplitContent, vocab: GeneVocab) -> None:
    """Write the files of one split into a new folder."""
    folder.mkdir()
    _write_h5ad(folder / "data.h5ad", split)
    _write_neighbors(folder / "neighbors.json", split)
    vocab.write(folder / VOCAB, folder / MEDIANS)


def _write_h5ad(path: Path, split: SplitContent) -> None:
    """Everything but X through anndata, then X block by block."""
    import anndata
    import numpy as np
    from anndata.io import write_elem

    from bionemo.geneformer_t.counts.update_h5ad import whole_hdf5

    frame = anndata.AnnData(
        obs=split.obs,
        var=split.var,
        obsm=dict(split.obsm),
        obsp={key: graph.to_matrix() for key, graph in split.graphs.items()},
        uns=dict(split.uns),
    )
    frame.strings_to_categoricals()
    shape = (len(split.obs), len(split.var))
    indptr = np.concatenate([[0], np.cumsum(split.row_lengths, dtype=np.int64)])
    num_values = int(indptr[-1])
    index_type = np.int32 if num_values < np.iinfo(np.int32).max else np.int64
    with whole_hdf5(path) as file:
        write_elem(file, "/", frame, dataset_kwargs={"compression": "gzip"})
        for alias, key in split.aliases.items():
            file["obsp"][alias] = file["obsp"][key]
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array(shape, dtype=np.int64)
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        values = group.create_dataset("data", shape=num_values, dtype=np.float32, **options)
        columns = group.create_dataset("indices", shape=num_values, dtype=index_type, **options)
        group.create_dataset("indptr", data=indptr.astype(index_type), **options)
        start = 0
        for block in split.blocks():
            stop = start + block.nnz
            values[start:stop], columns[start:stop] = block.data, block.indices
            file.check()
            start = stop
        assert start == num_values, (start, num_values)


def _write_neighbors(path: Path, split: SplitContent) -> None:
    """Graphs as JSON, written cell by cell: `json.dumps` would hold every id as an object."""
    names = list(split.obs.index)
    bounds: dict[str, tuple[int, int]] = {}
    with path.open("w+b") as file:
        for key, graph in split.graphs.items():
            file.write(_key(key, first=not bounds))
            start = file.tell()
            _write_graph(file, graph, names)
            bounds[key] = start, file.tell()
        for alias, key in split.aliases.items():
            file.write(_key(alias, first=False))
            _repeat(file, *bounds[key])
        file.write(b"}" if bounds else b"{}")


def _key(name: str, *, first: bool) -> bytes:
    return f"{'{' if first else ', '}{json.dumps(name)}: ".encode()


def _write_graph(file: BinaryIO, graph: NeighborGraph, names: list[str]) -> None:
    file.write(b"{")
    before = ""
    with_successors = (graph.out_degree > 0).nonzero()[0]
    for start in range(0, len(with_successors), _CELLS):
        cells = with_successors[start : start + _CELLS]
        text = json.dumps(neighbors_by_id(graph, names, cells))
        file.write((before + text[1:-1]).encode())
        before = ", "
    file.write(b"}")


def _repeat(file: BinaryIO, start: int, stop: int) -> None:
    """Write a part of a file again at its end."""
    while start < stop:
        file.seek(start)
        part = file.read(min(stop - start, _BYTES))
        start += len(part)
        file.seek(0, 2)
        file.write(part)


def neighbors_by_id(
    graph: NeighborGraph, names: list[str], cells: Int[ndarray, " chosen"]
) -> dict[str, dict[str, float]]:
    """Successors of these cells, with their ids and weights (six digits)."""
    by_id = {}
    for cell in cells.tolist():
        successors, weights = graph.successors(cell)
        by_id[names[cell]] = {
            names[successor]: float(f"{weight:.6g}")
            for successor, weight in zip(successors.tolist(), weights.tolist(), strict=True)
        }
    return by_id


def _as_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, default=str) + "\n"
