"""`gft.tl.perturb`: what editing genes changes of what follows."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.data_frames import native_matrix
from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    require_place_for_results,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.fates.driver_settings import DRIVERS
from bionemo.geneformer_t.fates.streamed_transitions import CellInput
from bionemo.geneformer_t.fates.terminal_settings import FATES
from bionemo.geneformer_t.inference.checkpoint import trained_model
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import KEY
from bionemo.geneformer_t.perturbation.perturb import perturb as perturb_cells
from bionemo.geneformer_t.perturbation.perturb_settings import (
    ALL,
    PERTURBATION,
    PerturbSettings,
)
from bionemo.geneformer_t.perturbation.result import TABLES
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)


def perturb(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    genes: str | Sequence[str] = ALL,
    edit: str = PerturbSettings.edit,
    *,
    cluster_key: str | None = None,
    clusters: str | Sequence[str] = (),
    fates: str | Sequence[str] = (),
    pseudotime_key: str | None = None,
    donor_key: str | None = None,
    controls: Mapping[str, NextCellModel | Path | str] | None = None,
    seeds: Sequence[NextCellModel | Path | str] = (),
    time_key: str | None = None,
    fates_key: str = FATES,
    transitions_key: str = KEY,
    key_added: str = PERTURBATION,
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    screen: bool = False,
    num_verified: int = PerturbSettings.num_verified,
    num_sampled: int = PerturbSettings.num_sampled,
    num_sustained: int = PerturbSettings.num_sustained,
    with_cells: bool = False,
    with_ranks: bool = False,
    min_cells: int = PerturbSettings.min_cells,
    num_null: int = PerturbSettings.num_null,
    min_donor_cells: int = PerturbSettings.min_donor_cells,
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts,
    seed: int = PerturbSettings.seed,
) -> pd.DataFrame:
    """Edit genes in cells, and read what that changes of what follows, by a trained model.

    An effect is the mean, over the cells in which the edit changes what the model reads, of a
    readout of the edited cell minus that of the cell as it is. Readouts are

    * `fate NAME`: the expected probability of a fate one step on, the fate probabilities of the
      cells that a cell goes to, weighted by its transition row; the effect is a difference of
      probabilities, above 0 toward the fate;
    * the column `pseudotime_key`: its expected value one step on, in its own units, above 0 for
      later;
    * `transition row`: the probability that goes to other cells than before, from 0 to 1.

    Transition rows are by the network and the model's canonical axes, without its kNN memory. Each
    effect is compared with those of matched genes, of similar detection and rank. A model knows
    what goes together in its data: an effect is an association, not what an experiment would show.

    Args:
        adata: Raw counts, and transitions and fates as `gft.tl.transitions` and `gft.tl.fates`
            write them. Without fates, the transition row is read.
        model: The model that the transitions are by, or the path of its checkpoint.
        genes: `all`, or genes by id or symbol; `A+B` for two that are edited together.
        edit: `delete`; `up:K` or `down:K` to move genes by K ranks; `as:CLUSTER` to give them the
            ranks that they have in the middle cell of another cluster.
        cluster_key: Column of obs with the clusters.
        clusters: Clusters whose cells are edited; by default all cells that are in no terminal
            state.
        fates: Fates to read; all by default.
        pseudotime_key: Column of obs with a pseudotime or time, in numbers.
        donor_key: Column of obs with the donor or replicate, which is the unit of the test then.
        controls: Models without what this one should have learned, by name, such as one that was
            trained on shuffled successors. They are perturbed and tested in the same way.
        seeds: Models of other seeds, trained on the same data: do their effects agree?
        time_key: Column of obs with time points, where cells go to the next one only; by default
            as the transitions were made.
        fates_key: DataFrame of obsm with the fate probabilities.
        transitions_key: The transition matrix in obsp, and in uns how it was made.
        key_added: Where to write in uns.
        layer: Layer with the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        round_counts: Round expected counts to the nearest whole number.
        screen: Rank all genes by estimates from one backward pass for each cell and readout, and
            compute the first ones alone exactly; the table then holds these. For `delete`.
        num_verified: Genes of each readout that a screen verifies.
        num_sampled: Cells in which a screen deletes every gene exactly, to say what it finds.
        num_sustained: Targets, those with the largest z of a fate, for which fates are solved again
            with all cells edited.
        with_cells: Also write the effects in each cell.
        with_ranks: Also read the change of the expected normalised rank of every gene.
        min_cells: Affected cells, at least, of a gene that is tested.
        num_null: Matched genes that each is compared with.
        min_donor_cells: Affected cells, at least, of a donor that counts.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.
        seed: Draws the nulls of combinations.

    Returns:
        One row for each readout and gene or combination, the smallest p-values of each readout
        first. Columns: `readout`, `target` (ids), `symbol`, `edit`, `cells` (affected),
        `cells_without` (that lack a gene, so that nothing can be deleted or moved),
        `cells_unchanged` (the model reads the same of them), `units` (cells, or donors), `effect`,
        `null_mean`, `null_sd`, `z`, `p_value`, `fdr` (Benjamini-Hochberg within the readout), what
        simple methods say (`ridge_effect`, `correlation`, with the sign of the edit), driver genes
        where `gft.tl.drivers` has found some (`driver_effect`, `driver_fdr`), and `NAME_effect`,
        `NAME_z`, `NAME_fdr` for each control; with `num_sustained` also `sustained`, the mean
        change of fate probabilities with all cells edited. The table is also written to
        `uns[key_added]`, the effects in each cluster to `uns[key_added + "_by_cluster"]`, what was
        counted and left out to `uns[key_added + "_notes"]`, the verdict in words to
        `uns[key_added + "_verdict"]`, and the model's fingerprint and what was edited to
        `uns[key_added + "_params"]`. With `with_cells`, the effects of cells x targets go to
        `obsm[key_added + ": " + readout]`, NaN where there is none; with `with_ranks`, the mean
        changes of genes x targets to `uns[key_added + "_ranks"]`, in normalised ranks: 1 at the
        first rank, falling evenly to 0 after the last that counts. Of a screen, the estimates of
        all genes are in `uns[key_added + "_estimates"]`, one row for each readout and gene, the
        largest first: `screen_effect` (the estimate), `cells`, `rank` (below `min_cells` cells
        NaN), `is_verified`, and `NAME_screen_effect` by each control. They are no effects, and have
        no null and no test; the table has `screen_effect` beside `effect` then.

    Raises:
        TypeError: `adata` is no AnnData object.
        FileNotFoundError: No such checkpoint.
        KeyError: No such fate, column or layer.
        ValueError: A gene or edit cannot be understood, fates are not there yet, the transitions
            are another model's, or the values are no raw counts.

    Example:
        >>> effects = gft.tl.perturb(
        ...     adata,
        ...     checkpoint,
        ...     ["GENE1", "GENE2", "GENE1+GENE2"],
        ...     cluster_key="cell_type",
        ...     clusters="root",
        ...     with_cells=True,
        ... )
        >>> effects[["readout", "symbol", "effect", "z", "fdr"]]
    """
    settings = PerturbSettings(
        genes=genes if isinstance(genes, str) else ",".join(genes),
        edit=edit,
        cluster_key=cluster_key,
        clusters=(clusters,) if isinstance(clusters, str) else tuple(clusters),
        fates=(fates,) if isinstance(fates, str) else tuple(fates),
        pseudotime_key=pseudotime_key,
        donor_key=donor_key,
        time_key=time_key,
        fates_key=fates_key,
        transitions_key=transitions_key,
        screen=screen,
        num_verified=num_verified,
        num_sampled=num_sampled,
        num_sustained=num_sustained,
        with_cells=with_cells,
        with_ranks=with_ranks,
        min_cells=min_cells,
        num_null=num_null,
        min_donor_cells=min_donor_cells,
        min_mapped_counts=min_mapped_counts,
        seed=seed,
    )
    require_place_for_results(adata)
    require_key("key_added", key_added)
    trained = trained_model(model)
    others = {name: trained_model(control) for name, control in (controls or {}).items()}
    given = anndata_source(
        adata, layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER
    )
    with (
        row_wise(given) as source,
        Progress("perturb", unit="edited cell") as bar,
    ):
        found = perturb_cells(
            trained, CellInput(source=source, obs=adata.obs), adata.obsm.get(fates_key),
            adata.uns.get(transitions_key), settings,
            transitions=_matrix(adata, transitions_key), drivers=adata.uns.get(DRIVERS),
            controls=others, seeds=[trained_model(seed) for seed in seeds],
            on_contexts=bar.update, on_plan=bar.reset,
        )  # fmt: skip
    notes = [*given.notes_on_rounding, *found.notes]
    for note in (*notes, *found.sentences):
        logger.info("%s", note)
    for stale in (key_added + end for end in TABLES):
        adata.uns.pop(stale, None)
    for stale in [name for name in adata.obsm if name.startswith(f"{key_added}: ")]:
        del adata.obsm[stale]
    read = {"layer": layer or "X", "use_raw": use_raw, "round_counts": round_counts}
    for group, held in found.entries(key_added, notes, read).items():
        getattr(adata, group).update(held)
    return found.table


def _matrix(adata: "anndata.AnnData", key: str) -> sp.csr_array | None:
    return native_matrix(adata.obsp[key]) if key in adata.obsp else None
