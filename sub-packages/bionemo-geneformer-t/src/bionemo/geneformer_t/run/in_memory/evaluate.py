"""`gft.tl.evaluate`: scores of held-out cells of an AnnData object, beside all baselines."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.run.command import resolve
from bionemo.geneformer_t.run.evaluate import EvaluateSettings, evaluate_checkpoint
from bionemo.geneformer_t.run.in_memory.quiet import printing_to_log
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata
    import pandas as pd

    from bionemo.geneformer_t.evaluate.evaluation import Evaluation
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel
    from bionemo.geneformer_t.report.evaluated import Evaluated


def evaluate(
    adata: "anndata.AnnData",
    model: "NextCellModel | Path | str",
    *,
    data_dir: Path | str | None = None,
    key_added: str = "cross_entropy",
    **settings: Any,
) -> "pd.DataFrame":
    """Score a model and all baselines on held-out cells and their successors.

    It does what the command `evaluate` does, with the data folder that the model was trained on.

    Args:
        adata: The cells that `gft.tl.train` got; only their names are read.
        model: A model that `gft.tl.train` returned or that was loaded from a file, or the path of
            its checkpoint. The file is read again.
        data_dir: The data folder; by default that of the training.
        key_added: How new columns of obs begin, and the entry of uns.
        settings: Further settings of `gft.evaluate_model`, such as `split` (`test` by default),
            `max_cells` or `output_dir`, by name.

    Returns:
        A table with a row for the model and each baseline or control. `cross_entropy` is in nats
        per position, lower is better; `low` and `high` end its 95 % interval; `top_1`, `top_10` and
        `top_100` are fractions of positions; `new_genes` is the cross-entropy over genes that the
        current cell does not express. `gain`, `gain_low` and `gain_high` say by how many nats the
        model is better than the row, and `verdict` says it in a sentence, over all headline
        measures. `attrs["verdict"]` is that on all baselines, `attrs["summary"]` the whole text.

        Written are

        * `obs["cross_entropy_model"]`, and a column for each other row, such as
          `obs["cross_entropy_copying_the_current_cell"]`: mean over the positions of the cell's
          successors; missing for cells that were not scored;
        * `uns["cross_entropy"]`: the unit, split, rows of the columns, fingerprint of the model,
          and the summary.

    Raises:
        TypeError: `adata` is no AnnData object, `model` no model and no path, or there is no such
            setting.
        FileNotFoundError: The checkpoint or the data folder is gone.
        ValueError: The model was not loaded from a file, cells of the folder are not in `adata`, or
            as `gft.evaluate_model` says.

    Example:
        >>> scores = gft.tl.evaluate(adata, model)
        >>> scores["cross_entropy"]
        >>> print(scores.attrs["verdict"])
    """
    from bionemo.geneformer_t.counts.in_memory import require_place_for_results

    require_place_for_results(adata)
    require_key("key_added", key_added)
    if "checkpoint" in settings:
        raise TypeError("gft.tl.evaluate takes the checkpoint as model; leave checkpoint out")
    checkpoint = _checkpoint_of(model)
    given = {**settings, "checkpoint": checkpoint, "data_dir": data_dir or _data_of(checkpoint)}
    with printing_to_log():
        evaluated = evaluate_checkpoint(resolve(EvaluateSettings, given))
    columns = _add_columns(adata, evaluated, key_added)
    table = score_frame(evaluated.evaluation)
    adata.uns[key_added] = {
        "unit": "nats per position",
        "split": evaluated.split,
        "columns": columns,
        "model": evaluated.fingerprint,
        "summary": f"{table.attrs['summary']}\n{evaluated.where_from}",
    }
    return table


def score_frame(evaluation: "Evaluation") -> "pd.DataFrame":
    """The scores as a table, a row for each predictor, the model first."""
    import pandas as pd

    from bionemo.geneformer_t.evaluate.headline import Headline, comparison, headline_measures
    from bionemo.geneformer_t.evaluate.text import summary

    rows: dict[str, dict[str, Any]] = {}
    for name, row in evaluation.rows.items():
        rows[name] = {
            "cross_entropy": row.all.cross_entropy,
            "low": row.interval.low,
            "high": row.interval.high,
            "top_1": row.all.top1,
            "top_10": row.all.top10,
            "top_100": row.all.top100,
            "new_genes": row.changed.cross_entropy,
        }
        if name in evaluation.advantages:
            gain = evaluation.advantages[name].all
            rows[name] |= {
                "gain": gain.mean,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "verdict": comparison(name, headline_measures(evaluation, name)),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.attrs = {
        "verdict": Headline.of(evaluation).sentence, "summary": summary(evaluation),
    }  # fmt: skip
    return table


def _checkpoint_of(model: "NextCellModel | Path | str") -> Path:
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel

    if isinstance(model, str | Path):
        return Path(model)
    if not isinstance(model, NextCellModel):
        raise TypeError(
            "model: expected a trained model or the path of its checkpoint; got "
            f"{type(model).__name__}"
        )
    if model.loaded_from is None:
        raise ValueError(
            "model: scores are those of a checkpoint, and this model was not loaded from one; give "
            "the path of its checkpoint"
        )
    return model.loaded_from


def _data_of(checkpoint: Path) -> Path:
    """The data folder of the run that wrote a checkpoint."""
    from bionemo.geneformer_t.inference.checkpoint import recorded_settings

    recorded = recorded_settings(checkpoint)
    if recorded is None or "data_dir" not in recorded:
        raise ValueError(f"{checkpoint} does not say what it was trained on; give data_dir")
    return Path(recorded["data_dir"])


def _add_columns(
    adata: "anndata.AnnData", evaluated: "Evaluated", key_added: str
) -> dict[str, str]:
    """Write the cross-entropy of each cell and predictor to obs.

    Returns:
        Each column and its predictor.

    Raises:
        ValueError: Cells that were scored are not in `adata`.
    """
    import numpy as np
    import pandas as pd

    names = np.array(evaluated.dataset.tokens.store.cell_ids, dtype=object)
    found, columns = {}, {}
    for name, row in evaluated.evaluation.rows.items():
        cells = row.sums.all
        column = f"{key_added}_{name.removeprefix('the ').replace(',', '').replace(' ', '_')}"
        found[column] = pd.Series(cells.sums[:, 0] / cells.positions, index=names[cells.cells])
        columns[column] = name
    places = adata.obs_names.astype(str)
    scored = next(iter(found.values())).index
    lost = scored[~scored.isin(places)]
    if len(lost):
        raise ValueError(
            f"{len(lost)} of {len(scored)} cells that were scored in {evaluated.split_dir} are not "
            f"in adata, such as {lost[0]!r}; give the cells that the model was trained on"
        )
    for column, values in found.items():
        adata.obs[column] = values.reindex(places).to_numpy()
    return columns
