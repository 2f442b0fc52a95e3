"""`geneformer-t sample`: real next cells of the cells of an .h5ad, drawn by their transitions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.fates.sample_settings import SampleSettings
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.run.command import command, main

if TYPE_CHECKING:
    import anndata


@dataclass(frozen=True, kw_only=True)
class SampleCommandSettings(SampleSettings):
    """Which cells are drawn for which, and where to write them.

    Raises:
        ValueError: The output is no .h5ad, or a number is too small.
    """

    input: Path
    """An .h5ad as geneformer-t transitions writes it: cells with transition probabilities in obsp;
    or, with candidates, the probabilities of cells x candidates as X."""
    output: Path
    """The .h5ad to write, with the drawn cells: their counts, genes and columns of obs."""
    candidates: Path | None = None
    """The .h5ad with the cells that are drawn, where transitions were made with candidates."""
    transitions_key: str = KEY
    """The transition matrix in obsp, where there are no candidates."""
    layer: str | None = None
    """Layer with the raw counts of the drawn cells; by default X."""
    use_raw: bool = False
    """Take counts and genes of the drawn cells from raw instead of X."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix != ".h5ad":
            raise ValueError(f"output must end in .h5ad; got {self.output}")


@command(SampleCommandSettings)
def sample(settings: SampleCommandSettings) -> Path:
    """Draw real next cells of each cell by its transition probabilities, and write their counts.

    Drawn cells are whole ones, so their genes go together as they do in cells. Columns of obs name
    the current cell, the drawn one, and the probability of the transition.
    """
    from bionemo.geneformer_t.counts.h5ad import backed_cells
    from bionemo.geneformer_t.files import require_other_file, require_writable, whole_file
    from bionemo.geneformer_t.tl.sampled_next_cells import NEXT_CELLS, sample_next_cells

    require_writable(settings.output)
    read = {"input": settings.input}
    if settings.candidates is not None:
        read["candidates"] = settings.candidates
    require_other_file(settings.output, read)
    cells = backed_cells(settings.input, "input")
    pool = transitions = None
    if settings.candidates is not None:
        pool = backed_cells(settings.candidates, "candidates")
        transitions = _between(cells, pool)
    found = sample_next_cells(
        cells, settings.num_cells, candidates=pool, layer=settings.layer,
        transitions=settings.transitions_key if transitions is None else transitions,
        use_raw=settings.use_raw, seed=settings.seed,
    )  # fmt: skip
    with whole_file(settings.output) as partial:
        found.write_h5ad(partial)
    print(
        f"{found.n_obs:,} cells are drawn, {found.obs['next_cell'].nunique():,} different ones, "
        f"for {found.obs['current_cell'].nunique():,} of {cells.n_obs:,} cells"
    )
    for note in found.uns[NEXT_CELLS]["notes"]:
        print(f"note: {note}")
    print(settings.output)
    return settings.output


def _between(cells: "anndata.AnnData", pool: "anndata.AnnData") -> Any:
    """The matrix of cells x candidates that X holds, whose columns are the candidates."""
    if list(cells.var_names) != list(pool.obs_names):
        raise ValueError(
            f"candidates: the {cells.n_vars:,} columns of the input must be the {pool.n_obs:,} "
            "cells of candidates, in their order, as geneformer-t transitions --candidates writes "
            "them; they have other names. Give the same files, or leave candidates out"
        )
    return cells[:].to_memory().X


if __name__ == "__main__":
    main(sample)
