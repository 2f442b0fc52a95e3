"""`gft.tl.transitions`: which cells of an AnnData object, or of an atlas, each cell goes to."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import scipy.sparse as sp

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    copied,
    require_anndata,
    require_place_for_results,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.fates.streamed_transitions import (
    CellInput,
    streamed_transitions,
)
from bionemo.geneformer_t.inference.checkpoint import trained_model
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import KEY, Score, TransitionSettings
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)


def transitions(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    candidates: "anndata.AnnData | None" = None,
    *,
    num_successors: int | None = None,
    temperature: float | None = None,
    num_ranks: int | None = None,
    use_memory: bool | None = None,
    axes_weight: float | None = None,
    score: Score = "pmi",
    time_gap: float | str | None = None,
    time_key: str | None = None,
    time_order: Sequence[str] | None = None,
    self_transitions: bool = False,
    key_added: str = KEY,
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts,
    candidates_at_once: int = TransitionSettings.candidates_at_once,
    contexts_at_once: int = TransitionSettings.contexts_at_once,
    seed: int = TransitionSettings.seed,
    copy: bool = False,
) -> "anndata.AnnData | sp.csr_matrix | None":
    """Probabilities that each cell goes to each other one, as a sparse matrix.

    A candidate's score is its log-probability as the next cell, minus the log of its mean
    probability over reference cells (pointwise mutual information). A softmax over the candidates
    with the highest scores gives the probabilities. `cellrank.kernels.PrecomputedKernel(adata,
    obsp_key="T_geneformer_t")` takes the matrix as it is.

    Args:
        adata: Raw counts in X, in a layer or in raw; in memory, or backed by a file.
        model: A trained model, or the path of its checkpoint.
        candidates: Cells to go to, such as an atlas, with counts in the same place; by default
            those of `adata`.
        num_successors: Candidates of each cell that get a probability. This and the next four are
            by default as the checkpoint was fitted on its validation cells, else 30, 8, 128, True,
            0.
        temperature: What scores, in nats, are divided by before the softmax.
        num_ranks: Ranks of a candidate that count.
        use_memory: Use the kNN memory where the model has one.
        axes_weight: Weight of what the model's canonical axes say of both cells, in nats, beside
            the score of the network; 0 for the network alone.
        score: `pmi`, or `likelihood`, which prefers typical cells.
        time_gap: How far ahead, for a model that was trained with `time_gap_key`: a number in its
            unit, or text such as `"3 days"`. Scores are then those of the network alone: memory and
            canonical axes know one step only. By default one step, of no length in particular.
        time_key: Column of obs with time points, where only cells of the next one are candidates.
        time_order: Its labels from early to late, where they are no numbers.
        self_transitions: Whether a cell is among its own candidates.
        key_added: Where to write, in `obsp` and `uns`.
        layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        round_counts: Round expected counts to the nearest whole number.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.
        candidates_at_once: Candidates that are scored at once; lower it when memory runs out.
        contexts_at_once: Cells that are scored for at once, at most.
        seed: Draws the reference cells from `adata` where the checkpoint has none.
        copy: Return a copy and leave `adata` as it is.

    Returns:
        None, or the copy. Written are

        * `obsp["T_geneformer_t"]`: cells x cells, current cells in rows, float64; rows sum to 1.
          Cells without any candidate, as at the last time point, stay where they are with
          probability 1, and so do those that express no known gene; the log counts both;
        * `uns["T_geneformer_t"]`: parameters, how they were fitted, counts of what was met, and the
          model's fingerprint.

        With `candidates`, the matrix of cells x candidates is returned instead and nothing is
        written; rows without any candidate are empty.

    Raises:
        TypeError: `adata` or `candidates` is no AnnData object, or `model` no model and no path.
        FileNotFoundError: No such checkpoint.
        KeyError: No such layer, no raw, or no such column of times.
        ValueError: The values are no raw counts, the genes are not the model's, the model was not
            trained on next cells, there are fewer candidates than `num_successors`, or `model` is
            the name of a graph.

    Example:
        >>> gft.tl.transitions(adata, checkpoint)
        >>> adata.obsp["T_geneformer_t"].sum(axis=1)
    """
    require_anndata(adata)
    require_key("key_added", key_added)
    if isinstance(model, str) and model in adata.obsp:
        raise ValueError(
            f"model={model!r} is a graph in obsp; transitions are made by a model: give one, or "
            "the path of its checkpoint"
        )
    if copy and candidates is not None:
        raise ValueError("copy=True is for transitions within adata; with candidates, leave it out")
    settings = TransitionSettings(
        num_successors=num_successors,
        temperature=temperature,
        num_ranks=num_ranks,
        use_memory=use_memory,
        axes_weight=axes_weight,
        score=score,
        time_gap=None if time_gap is None else str(time_gap),
        time_key=time_key,
        time_order=None if time_order is None else tuple(time_order),
        self_transitions=self_transitions,
        min_mapped_counts=min_mapped_counts,
        candidates_at_once=candidates_at_once,
        contexts_at_once=contexts_at_once,
        seed=seed,
    )
    cells = copied(adata) if copy else adata
    if candidates is None:
        require_place_for_results(cells)
    trained = trained_model(model)
    inputs = [one for one in (cells, candidates) if one is not None]
    with ExitStack() as stack:
        given = [
            anndata_source(one, layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER)
            for one in inputs
        ]
        rows = [stack.enter_context(row_wise(source)) for source in given]
        held = [
            CellInput(source=source, obs=one.obs) for source, one in zip(rows, inputs, strict=True)
        ]
        total = inputs[-1].n_obs + cells.n_obs
        with Progress("transitions", total, "cell") as bar:
            found = streamed_transitions(
                trained, held[0], held[1] if len(held) > 1 else None, settings, bar.update
            )
        notes = [note for source in given for note in source.notes_on_rounding]
    for note in (*notes, *found.notes):
        logger.warning("%s", note)
    if candidates is not None:
        return found.matrix
    where = {"layer": "X" if layer is None else layer, "use_raw": use_raw}
    params = {**found.how["params"], **where, "round_counts": round_counts}
    cells.obsp[key_added] = found.matrix
    cells.uns[key_added] = {**found.how, "params": params}
    return cells if copy else None
