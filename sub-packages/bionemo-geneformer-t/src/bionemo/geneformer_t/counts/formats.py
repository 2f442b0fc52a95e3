"""What is known of an input before any count of it is read, and the table of formats."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.rounding import Rounding
from bionemo.geneformer_t.counts.source import (
    CountSource,
    MatrixOptions,
    check_cell_ids,
)
from bionemo.geneformer_t.counts.stored_matrix import RawBlock

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """An open input: its cells and genes, and where their counts are."""

    path: Path
    obs: "pd.DataFrame"
    """One row for each cell; its index has no name."""
    var: "pd.DataFrame"
    """One row for each column of the counts; its index has no name."""
    counts: CountSource
    obsm: Mapping[str, Any] = field(default_factory=dict)
    """Dense arrays with a row for each cell, on disk."""
    obsp: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """How to read each cells x cells matrix."""
    notes: tuple[str, ...] = ()
    """Which of several matrices was taken, and which columns are no genes."""
    left_out: tuple[str, ...] = ()
    """What else of the file was left out."""


@dataclass(frozen=True, kw_only=True)
class MatrixChoice:
    """Which matrix of an input holds the counts, and what becomes of fractions.

    Raises:
        ValueError: Both a layer and raw are asked for.
    """

    layer: str | None = None
    """The layer that holds the counts; X, or the only matrix, by default."""
    use_raw: bool = False
    """Take counts and genes from `raw` instead."""
    round_counts: bool = False
    """Round expected counts to whole numbers."""
    options: MatrixOptions = field(default_factory=MatrixOptions)
    """How the command calls these three."""

    def __post_init__(self) -> None:
        if self.layer is not None and self.use_raw:
            named = self.options.layer.format(self.layer)
            raise ValueError(f"give a layer or raw, not both; got {named} and {self.options.raw}")

    @property
    def is_default(self) -> bool:
        """Whether X, or the only matrix, is taken as it is."""
        return self.layer is None and not self.use_raw and not self.round_counts

    def refuse_for(self, path: Path, kind: str) -> None:
        """For formats with a single matrix.

        Raises:
            KeyError: A layer or raw was asked for.
        """
        if self.layer is not None or self.use_raw:
            wanted = "raw" if self.use_raw else f"layer {self.layer!r}"
            raise KeyError(
                f"{path} holds no {wanted}: {kind} holds one matrix; leave the option out"
            )


def counts_of(
    path: Path,
    matrix: str,
    cell_ids: tuple[str, ...],
    var: "pd.DataFrame",
    choice: MatrixChoice,
    raw_blocks: Callable[[], Iterator[RawBlock]],
    **more: Any,
) -> CountSource:
    """The counts of a file of any format.

    Args:
        path: The input.
        matrix: What its matrix is called.
        cell_ids: Names of its rows.
        var: Its columns, those included that are no genes.
        choice: What was asked for.
        raw_blocks: The matrix in rectangles.
        more: Other fields of the source.

    Raises:
        ValueError: Cell ids are not unique, or no feature is a gene.
    """
    check_cell_ids(cell_ids, str(path))
    return CountSource(
        where=f"{path}: {matrix}",
        cell_ids=cell_ids,
        genes=name_genes(var, str(path)),
        var_names=tuple(var.index.astype(str)),
        raw_blocks=raw_blocks,
        rounding=Rounding() if choice.round_counts else None,
        options=choice.options,
        **more,
    )


FORMATS = {
    ".h5ad": ("h5ad", "h5ad_input"),
    ".zarr": ("h5ad", "zarr_input"),
    ".h5": ("tenx", "tenx_h5_input"),
    ".loom": ("loom", "loom_input"),
    "": ("tenx", "mtx_input"),
}
"""The ending of an input -> its module and function; a folder without a known ending holds mtx."""


@contextmanager
def open_input(path: Path, choice: MatrixChoice | None = None) -> Iterator[InputFile]:
    """An input, open for as long as the context lasts.

    Args:
        path: An .h5ad, .zarr, .loom or 10x .h5, or a folder with a 10x matrix.mtx.
        choice: Which of its matrices to take; X, or the only one, by default.

    Raises:
        FileNotFoundError: No such file or folder.
        KeyError: No such layer, or no `raw`.
        ValueError: The format is not known, the file is damaged, or cell ids are not unique.
    """
    if not path.exists():
        raise FileNotFoundError(f"input: expected {_known()}; there is nothing at {path}")
    kind = path.suffix if path.suffix in FORMATS else ""
    if kind == "" and not path.is_dir():
        raise ValueError(f"input: expected {_known()}; got {path}")
    module, function = FORMATS[kind]
    reader: Callable[..., AbstractContextManager[InputFile]] = getattr(
        import_module(f"bionemo.geneformer_t.counts.{module}"), function
    )
    with reader(path, choice or MatrixChoice()) as opened:
        yield opened


def _known() -> str:
    return "an .h5ad, .zarr, .loom or 10x .h5 file, or a folder with a 10x matrix.mtx"
