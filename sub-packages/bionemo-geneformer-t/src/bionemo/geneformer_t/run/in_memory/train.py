"""`gft.tl.train`: a model trained on the cells of an AnnData object and a graph in its `obsp`.

The cells become a data folder, as by `geneformer-t prepare --method precomputed`, and the model is
that of `geneformer-t train` on this folder.
"""

import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.prepare.settings import PrepareSettings
from bionemo.geneformer_t.run.arguments import did_you_mean
from bionemo.geneformer_t.run.in_memory.quiet import printing_to_log
from bionemo.geneformer_t.setting_values import require_key
from bionemo.geneformer_t.training.settings import RecipeName, TrainSettings

if TYPE_CHECKING:
    import anndata

    from bionemo.geneformer_t.model.next_cell_model import NextCellModel

DATA, RUN = "data", "run"
"""Folders in `output_dir`."""
_SET_HERE = {"input", "method", "obsp_key", "neighbor_key", "data_dir"}
_SPLITTING = {"split_by", "val_groups", "test_groups", "val_fraction", "test_fraction"}


def train(
    adata: "anndata.AnnData",
    key: str = "next_cell_ids",
    *,
    split_key: str | None = None,
    output_dir: Path | str | None = None,
    recipe: RecipeName | None = "auto",
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    key_added: str = "split",
    **settings: Any,
) -> "NextCellModel":
    """Train a model on cells and a graph of their successors, without files of your own.

    It does what the commands `prepare --method precomputed` and `train` do. Cells are dealt to
    training, validation and test, and edges between these are left out, so that no edge connects a
    training cell with a cell that is held out. Where few cells are held out, few of their edges
    remain; give a graph with many successors of each cell. A graph of `gft.pp.next_cells` is used
    whole; of other matrices, each cell keeps `num_neighbors` successors.

    Args:
        adata: Raw counts in X, in a layer or in raw; in memory, or backed by a file, whose counts
            are read into memory.
        key: Graph of successors in obsp: what `gft.pp.next_cells` wrote, or any matrix with current
            cells in rows and weights of their successors in columns.
        split_key: Column of obs with `train`, `val` or `test` for each cell; cells without a label
            are left out. By default splits are drawn as `prepare` does, with `seed`, `val_fraction`
            and `test_fraction`, and in the same fractions of each label of `time_key` or
            `cluster_key`; `split_by` keeps groups, such as donors, together.
        output_dir: Folder for `data`, a copy of the cells in their splits, and `run`, with
            checkpoints, metrics and settings; it takes about twice the space of the cells and three
            times that of the model. By default a temporary folder, which is removed when the
            returned model is no longer used, or when Python ends.
        recipe: Settings of training that go together; `auto` chooses by the training cells.
        layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        round_counts: Round expected counts to the nearest whole number.
        key_added: Column of obs for the split of each cell.
        settings: Further settings of `gft.train_temporal_geneformer` (such as `num_epochs`) and of
            `gft.prepare_data` (such as `vocab`), by name. Those of both, such as `seed`, are given
            to both. `final_evaluation` is off here by default: `gft.tl.evaluate` scores the model.

    Returns:
        The trained model with its memory, canonical axes and transition settings, as
        `gft.tl.transitions` and others take it.
        `obs["split"]` is written: `train`, `val` or `test`, and missing for cells that took no
        part, such as those without counts.

    Raises:
        TypeError: `adata` is no AnnData object, or there is no such setting.
        KeyError: No such graph, layer or column.
        FileExistsError: `output_dir` has other data, or another run.
        ValueError: The values are no raw counts, the column has other labels, a split stays without
            a cell, or a setting is refused.

    Example:
        >>> gft.pp.next_cells(adata, method="time", time_key="day", num_neighbors=20)
        >>> model = gft.tl.train(adata, recipe="auto")
        >>> adata.obs["split"].value_counts()
        >>> gft.tl.transitions(adata, model)
    """
    from bionemo.geneformer_t.inference.checkpoint import load_model
    from bionemo.geneformer_t.run.prepare import prepare
    from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

    require_key("key_added", key_added)
    of_prepare, of_train = _dealt(settings, split_key)
    cells = _written_cells(adata, key, layer=layer, use_raw=use_raw, round_counts=round_counts)
    if split_key is not None:
        of_prepare |= _given_splits(adata, split_key)
    of_prepare.setdefault("num_neighbors", _most_successors(adata, key))
    of_prepare.setdefault("pictures", False)
    of_train.setdefault("final_evaluation", False)
    with ExitStack() as stack:
        folder = Path(output_dir or stack.enter_context(TemporaryDirectory(prefix="geneformer_t_")))
        with TemporaryDirectory(prefix="geneformer_t_") as passing, printing_to_log():
            path = Path(passing) / "cells.h5ad"
            cells.write_h5ad(path)
            prepare(
                input=(path,), output_dir=folder / DATA, method=("precomputed",), obsp_key=key,
                neighbor_key=key, **of_prepare,
            )  # fmt: skip
        del cells
        best = train_temporal_geneformer(
            data_dir=folder / DATA, output_dir=folder / RUN, neighbor_key=key, recipe=recipe,
            **of_train,
        )  # fmt: skip
        model = load_model(best)
        adata.obs[key_added] = _splits(adata, folder / DATA)
        weakref.finalize(model, stack.pop_all().close)
    return model


def _dealt(
    settings: Mapping[str, Any], split_key: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of `prepare` and those of `train`.

    Raises:
        TypeError: A name is that of no setting, or of one that has its value here.
    """
    known = [{field.name for field in fields(kind)} for kind in (PrepareSettings, TrainSettings)]
    free = set.union(*known) - _SET_HERE
    unknown = sorted(set(settings) - free)
    if unknown:
        raise TypeError(
            f"gft.tl.train has no setting {', '.join(unknown)}; it has those of gft.prepare_data "
            f"and gft.train_temporal_geneformer but {', '.join(sorted(_SET_HERE))}"
            f"{did_you_mean(unknown, free)}"
        )
    twice = sorted(_SPLITTING & set(settings))
    if split_key is not None and twice:
        raise TypeError(f"split_key says which cells are held out; leave out {', '.join(twice)}")
    of_prepare, of_train = (
        {name: value for name, value in settings.items() if name in names} for names in known
    )
    return of_prepare, of_train


def _written_cells(
    adata: "anndata.AnnData", key: str, *, layer: str | None, use_raw: bool, round_counts: bool
) -> "anndata.AnnData":
    """The raw counts with obs, var, obsm and the graph, to be written to a file."""
    import anndata

    from bionemo.geneformer_t.counts.in_memory import (
        BY_LAYER,
        anndata_source,
        chosen_matrix,
        require_place_for_results,
        whole_counts,
    )
    from bionemo.geneformer_t.counts.storable_frames import storable_frame

    require_place_for_results(adata)
    source = anndata_source(
        adata, layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER
    )
    if key not in adata.obsp:
        raise KeyError(
            f"key: obsp has no graph {key!r}; it has: {', '.join(adata.obsp) or 'none'}. "
            "gft.pp.next_cells makes one"
        )
    _, _, var = chosen_matrix(adata, layer, use_raw=use_raw, options=BY_LAYER)
    return anndata.AnnData(
        whole_counts(source),
        obs=storable_frame(adata.obs),
        var=storable_frame(var),
        obsm={name: held for name, held in adata.obsm.items() if _are_numbers(held)},
        obsp={key: adata.obsp[key]},
    )


def _are_numbers(held: Any) -> bool:
    """Whether an array of obsm is one of numbers, which alone are read of a data folder."""
    kind = getattr(getattr(held, "dtype", None), "kind", "")  # a DataFrame has no type of its own
    return kind in {"b", "i", "u", "f"}


def _given_splits(adata: "anndata.AnnData", split_key: str) -> dict[str, Any]:
    """Settings of `prepare` for splits that a column names.

    Raises:
        KeyError: There is no such column.
        ValueError: It has other labels, or none to train on.
    """
    from bionemo.geneformer_t.data.folder import SPLITS, TEST, TRAIN, VAL
    from bionemo.geneformer_t.obs_columns import obs_column

    labels = obs_column(adata.obs, split_key, "split_key", "adata").dropna().astype(str)
    found = set(labels)
    if TRAIN not in found or not found <= set(SPLITS):
        raise ValueError(
            f"split_key: obs[{split_key!r}] must hold train, and may hold val and test; it holds: "
            f"{', '.join(sorted(found)) or 'nothing'}"
        )
    given: dict[str, Any] = {"split_by": split_key}
    for name in (VAL, TEST):
        if name in found:
            given[f"{name}_groups"] = (name,)
        else:
            given[f"{name}_fraction"] = 0.0
    return given


def _most_successors(adata: "anndata.AnnData", key: str) -> int:
    """`num_neighbors`: as many as the graph has where `gft.pp.next_cells` made it."""
    import numpy as np
    import scipy.sparse as sp

    if "connectivities_key" not in adata.uns.get(key, {}):
        return PrepareSettings.num_neighbors
    return max(1, int(np.diff(sp.csr_array(adata.obsp[key]).indptr).max(initial=1)))


def _splits(adata: "anndata.AnnData", folder: Path) -> Any:
    """The split of each cell in a data folder; missing for cells that are in none."""
    import pandas as pd

    from bionemo.geneformer_t.counts.h5ad import h5ad_source
    from bionemo.geneformer_t.data.cell_store import H5AD
    from bionemo.geneformer_t.data.folder import SPLITS, split_folders

    split: dict[str, str] = {}
    for name, path in split_folders(folder).items():
        with h5ad_source(path / H5AD) as source:
            split |= dict.fromkeys(source.cell_ids, name)
    labels = adata.obs_names.astype(str).map(split)
    return pd.Categorical(labels, categories=[n for n in SPLITS if n in split.values()])
