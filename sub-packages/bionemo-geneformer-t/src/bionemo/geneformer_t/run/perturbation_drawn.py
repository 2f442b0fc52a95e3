"""What `geneformer-t perturb` has written, as the report draws it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.h5ad import backed_cells
from bionemo.geneformer_t.counts.in_memory import BY_LAYER, anndata_source
from bionemo.geneformer_t.fates.terminal_settings import FATES, STEPS
from bionemo.geneformer_t.inference.gene_ranks import ranks_in_cells
from bionemo.geneformer_t.neighbors.time_labels import time_values
from bionemo.geneformer_t.perturbation.perturb_settings import PERTURBATION
from bionemo.geneformer_t.pl.stored import fate_table, perturbation_table, require_columns
from bionemo.geneformer_t.report.figures.fate_curves import weighted_curve
from bionemo.geneformer_t.report.figures.rank_trends import RankTrends
from bionemo.geneformer_t.report.perturbation_section import PerturbationResults, first_genes
from bionemo.geneformer_t.run.perturb_output import about_csv

if TYPE_CHECKING:
    import anndata

    from bionemo.geneformer_t.model.next_cell_model import NextCellModel
_FOLLOWED = 8
"""Genes whose ranks are drawn."""
_STEPS_TO_GO = "expected number of steps to a terminal state"
UNCHECKED = (
    "{path} does not say which model its effects are of, so it could not be checked that they are "
    "of the model of this report; an .h5ad of geneformer-t perturb does, and the NAME.about.json "
    "beside a .csv if that was not changed since."
)


def perturbation_results(
    path: Path,
    model: str,
    key: str = PERTURBATION,
    load: "Callable[[], NextCellModel] | None" = None,
) -> PerturbationResults:
    """Read a table of effects, and what else the file has of it.

    An .h5ad says which model its effects are of in the parameters of the perturbation, and a .csv
    in the file beside it; where nothing says it, a note does.

    Args:
        path: The .h5ad or .csv that `geneformer-t perturb` wrote.
        model: Fingerprint of the model that the report is of.
        key: What the names of entries of an .h5ad begin with.
        load: Gives the model, which reads the ranks of the first genes in the cells of an .h5ad;
            they are left out without it.

    Raises:
        FileNotFoundError: There is no such file.
        KeyError: There are no effects in it.
        ValueError: The file is of another kind, its table is another, or the effects are another
            model's, as far as the file says whose they are.
    """
    unchecked = UNCHECKED.format(path=path.name)
    if path.suffix == ".csv":
        if not path.is_file():
            raise FileNotFoundError(f"perturbation: expected a .csv file at {path}; there is none")
        table = _checked(_of_csv(path), str(path))
        if (about := about_csv(path)) is None:
            return PerturbationResults(table=table, notes=[unchecked])
        _check_model(about["params"].get("model"), model, path)
        return PerturbationResults(
            table=table, verdict=_texts(about, "verdict"), notes=_texts(about, "notes")
        )
    if path.suffix != ".h5ad":
        raise ValueError(
            f"perturbation: expected the .h5ad or .csv that geneformer-t perturb wrote; got {path}"
        )
    cells = backed_cells(path, "perturbation")
    table = _checked(perturbation_table(cells, key), str(path))
    params = cells.uns.get(f"{key}_params", {})
    made_by, fates_key = params.get("model"), str(params.get("fates_key", FATES))
    _check_model(made_by, model, path)
    return PerturbationResults(
        table=table,
        verdict=_texts(cells.uns, f"{key}_verdict"),
        notes=_texts(cells.uns, f"{key}_notes") + ([unchecked] if made_by is None else []),
        by_cluster=cells.uns.get(f"{key}_by_cluster"),
        fates=fate_table(cells, fates_key) if fates_key in cells.obsm else None,
        in_cells=_in_cells(cells, key),
        trends=None if load is None else _rank_trends(cells, table, params, load()),
    )


def _rank_trends(
    cells: "anndata.AnnData", table: pd.DataFrame, params: Mapping[str, Any], model: "NextCellModel"
) -> RankTrends | None:
    """Ranks of the first genes along pseudotime or time, or else the steps to go; None without."""
    along, place = _places(cells.obs, params)
    genes = first_genes(table, _FOLLOWED)
    if place is None or not genes:
        return None
    layer = str(params.get("layer", "X"))
    source = anndata_source(
        cells, None if layer == "X" else layer, use_raw=bool(params.get("use_raw", False)),
        round_counts=bool(params.get("round_counts", False)), options=BY_LAYER,
    )  # fmt: skip
    ranks = ranks_in_cells(model, source, list(genes.values()))
    alike = np.ones(len(place))
    curves = {
        symbol: weighted_curve(place, of_gene, alike)
        for symbol, of_gene in zip(genes, ranks.T, strict=True)
    }
    return RankTrends(
        along=along,
        curves=curves,
        num_cells=int(np.isfinite(place).sum()),
        is_reversed=along == _STEPS_TO_GO,
    )


def _places(
    obs: pd.DataFrame, params: Mapping[str, Any]
) -> "tuple[str, Float[ndarray, ' cell'] | None]":
    """What cells are ordered by, and the place of each."""
    pseudotime, time = (str(params.get(name, "")) for name in ("pseudotime_key", "time_key"))
    if pseudotime in obs:
        return pseudotime, obs[pseudotime].to_numpy(dtype=np.float64)
    if time in obs:
        order = [str(label) for label in params.get("time_order", ())]
        return time, time_values(obs[time], order or None)
    if STEPS in obs:
        return _STEPS_TO_GO, obs[STEPS].to_numpy(dtype=np.float64)
    return "", None


def _check_model(made_by: Any, model: str, path: Path) -> None:
    if made_by is not None and str(made_by) != model:
        raise ValueError(
            f"perturbation: the effects in {path} are by another model than this checkpoint; give "
            "the checkpoint that they are by, or perturb with this one"
        )


def _of_csv(path: Path) -> pd.DataFrame:
    """Names are text whatever they look like: a gene may be called NA."""
    names = dict.fromkeys(("readout", "target", "symbol", "edit"), str)
    try:
        return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise ValueError(f"perturbation: {path} cannot be read as a table ({error})") from error


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    needed = ("edit", "cells", "cells_without", "cells_unchanged")
    table = perturbation_table(table, where)
    require_columns(table, needed, where, "geneformer-t perturb")
    if table.empty:
        raise ValueError(f"perturbation: the table in {where} has no rows")
    return table


def _texts(held: Any, key: str) -> list[str]:
    return [str(text) for text in held.get(key, ())]


def _in_cells(cells: "anndata.AnnData", key: str) -> dict[str, pd.DataFrame]:
    start = f"{key}: "
    return {
        name.removeprefix(start): table
        for name, table in cells.obsm.items()
        if name.startswith(start)
    }
