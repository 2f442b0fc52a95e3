"""Writes a data folder: data.h5ad, neighbors.json, medians.json and geneformer.vocab per split.

The folder appears whole or not at all: it is written beside its final place and then renamed.
`made_by.json` records what made it, so that the same command finds its work done, and no other
folder is ever overwritten.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    import anndata

RECORD = "made_by.json"


@dataclass(frozen=True, kw_only=True)
class SplitContent:
    """The cells of one split and the graphs over them."""

    cells: "anndata.AnnData"
    """Raw counts in X, ids in `obs_names`."""
    graphs: Mapping[str, NeighborGraph]
    """Each neighbor key and its graph; rows are the rows of `cells`."""


def is_done(output_dir: Path, record: Mapping[str, Any]) -> bool:
    """Whether a data folder with this record is already there.

    Raises:
        FileExistsError: The folder holds anything else.
        NotADirectoryError: A file stands in its place.
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
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{output_dir.name}.partial-", dir=output_dir.parent))
    try:
        for name, split in splits.items():
            _write_split(workshop / name, split, vocab)
        (workshop / RECORD).write_text(_as_json(record), encoding="utf-8")
        workshop.chmod(0o755)  # mkdtemp's folders are private
        if output_dir.is_dir() and not any(output_dir.iterdir()):
            output_dir.rmdir()
        if output_dir.exists():
            raise FileExistsError(f"output_dir {output_dir} was filled while this ran; it is kept")
        workshop.rename(output_dir)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return output_dir


def _write_split(folder: Path, split: SplitContent, vocab: GeneVocab) -> None:
    folder.mkdir()
    cells = split.cells.copy()
    for key, graph in split.graphs.items():
        cells.obsp[key] = graph.to_matrix()
    cells.write_h5ad(folder / "data.h5ad", compression="gzip")
    names = list(cells.obs_names)
    content = {key: neighbors_by_id(graph, names) for key, graph in split.graphs.items()}
    (folder / "neighbors.json").write_text(json.dumps(content), encoding="utf-8")
    vocab.write(folder / "geneformer.vocab", folder / "medians.json")


def neighbors_by_id(graph: NeighborGraph, names: list[str]) -> dict[str, dict[str, float]]:
    """Each cell that has successors, with their ids and weights (six digits)."""
    by_id = {}
    for cell, degree in enumerate(graph.out_degree):
        if degree:
            successors, weights = graph.successors(cell)
            by_id[names[cell]] = {
                names[successor]: float(f"{weight:.6g}")
                for successor, weight in zip(successors, weights, strict=True)
            }
    return by_id


def _as_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, default=str) + "\n"
