"""What `prepare` knows of an input before it reads any count, and the table of formats."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.data.count_source import CountBlock, CountSource
from bionemo.geneformer_t.data.counts import NotCountsError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """An open input: its cells and genes, and where their counts are."""

    path: Path
    obs: "pd.DataFrame"
    var: "pd.DataFrame"
    counts: CountSource
    by_rows: bool = True
    """Whether the counts come in whole rows from the first to the last; otherwise in any order."""
    num_values: int = 0
    """Stored values, where they do not come in rows."""
    obsm: Mapping[str, Any] = field(default_factory=dict)
    """Dense arrays with a row for each cell, on disk."""
    obsp: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """How to read each cells x cells matrix."""
    notes: tuple[str, ...] = ()
    """What was left out, for the reader."""
    way_out: Callable[[], str] = lambda: ""
    """Where raw counts may be found, once the chosen matrix turns out to hold none."""

    def blocks(self) -> Iterator[CountBlock]:
        """The counts in rectangles.

        Raises:
            NotCountsError: Values are no raw counts; says where counts are.
        """
        try:
            yield from self.counts.blocks()
        except NotCountsError as error:
            raise NotCountsError(f"{error}. {self.way_out()}".removesuffix(". ")) from error


FORMATS = {
    ".h5ad": ("input_anndata", "h5ad_input"),
    ".zarr": ("input_anndata", "zarr_input"),
    ".h5": ("input_tenx", "tenx_h5_input"),
    ".loom": ("input_loom", "loom_input"),
    "": ("input_mtx", "mtx_input"),
}
"""The ending of an input -> its module and function; a folder without a known ending holds mtx."""


@contextmanager
def open_input(
    path: Path, *, layer: str | None = None, use_raw: bool = False
) -> Iterator[InputFile]:
    """An input, open for as long as the context lasts.

    Args:
        path: An .h5ad, .zarr, .loom or 10x .h5, or a folder with a 10x matrix.mtx.
        layer: The layer that holds the counts; X, or the only matrix, by default.
        use_raw: Take counts and genes from `raw` instead.

    Raises:
        FileNotFoundError: No such file or folder.
        KeyError: No such layer, or no `raw`.
        ValueError: The format is not known, the file is damaged, or cell ids stand twice.
    """
    if layer is not None and use_raw:
        raise ValueError(f"give layer or use_raw, not both; got layer={layer!r} and use_raw")
    if not path.exists():
        raise FileNotFoundError(f"input: expected {_known()}; there is nothing at {path}")
    kind = path.suffix if path.suffix in FORMATS else ""
    if kind == "" and not path.is_dir():
        raise ValueError(f"input: expected {_known()}; got {path}")
    module, function = FORMATS[kind]
    reader: Callable[..., AbstractContextManager[InputFile]] = getattr(
        import_module(f"bionemo.geneformer_t.run.{module}"), function
    )
    with reader(path, layer=layer, use_raw=use_raw) as opened:
        yield opened


def refuse_layers(path: Path, *, layer: str | None, use_raw: bool, kind: str) -> None:
    """For formats with a single matrix.

    Raises:
        KeyError: A layer or raw was asked for.
    """
    if layer is not None or use_raw:
        wanted = "raw" if use_raw else f"layer {layer!r}"
        raise KeyError(f"{path} holds no {wanted}: {kind} holds one matrix; leave the option out")


def _known() -> str:
    return "an .h5ad, .zarr, .loom or 10x .h5 file, or a folder with a 10x matrix.mtx"
