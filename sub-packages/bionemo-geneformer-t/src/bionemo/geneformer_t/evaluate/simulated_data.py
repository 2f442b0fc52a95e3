"""For a folder that `simulate` wrote: the simulator's own distribution as a bound of the loss."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.rank_value import rank_value_encode
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.write_folder import RECORD
from bionemo.geneformer_t.dictionaries import read_json
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPredictor
from bionemo.geneformer_t.evaluate.row_names import SIMULATOR
from bionemo.geneformer_t.evaluate.simulator_bound import Encode, Places, fit_simulator_bound
from bionemo.geneformer_t.ragged import Ragged, offsets_of
from bionemo.geneformer_t.simulation import NEIGHBOR_KEY, Simulation, SimulationSettings, simulate


def simulated_bounds(
    data_dir: Path, dataset: TemporalGeneformerDataset
) -> tuple[dict[str, CellPredictor], str]:
    """The simulator's own distribution for the cells of a split, and a sentence about it.

    Both are empty where the cells were not simulated, or other successors than the simulator's are
    used.
    """
    record = data_dir / RECORD
    made_by = read_json(record) if record.is_file() else {}
    if made_by.get("command") != "simulate" or dataset.settings.neighbor_key != NEIGHBOR_KEY:
        return {}, ""
    values, tokens = made_by["settings"], dataset.tokens
    name = SIMULATOR[0].upper() + SIMULATOR[1:]
    if values.get("num_switch_genes"):
        return {}, f"{name} is known only for cells without switch genes."
    wanted = [f.name for f in fields(SimulationSettings)]
    rows = None
    if {*wanted, "seed"} <= values.keys():
        settings = SimulationSettings(**{field: values[field] for field in wanted})
        simulation = simulate(settings, np.random.default_rng(values["seed"]))
        rows = _rows_in(simulation, tokens)
    if rows is None:
        return {}, f"{name} is not known: another version simulated {data_dir}."
    places = Places(
        programmes=simulation.programmes,
        settings=settings,
        branch=simulation.branch[rows],
        pseudotime=simulation.pseudotime[rows],
        encode=_encoder(tokens),
        max_genes=dataset.settings.genes_per_cell,
        gene_ids=dataset.vocab.gene_ids,
        vocab_size=len(dataset.vocab),
        seed=values["seed"],
    )
    bound = fit_simulator_bound(places, np.flatnonzero(dataset.graph.out_degree > 0))
    return {SIMULATOR: CellPredictor(of_cells=bound.of_cells)}, (
        f"{name}: {bound.draws:,} next cells simulated at the true "
        f"place (branch and pseudotime) of each current cell, smoothed over ranks (width "
        f"{bound.width:g}). More draws would lower it by some {max(bound.excess, 0):.3f} nats. "
        "Models see counts and not the place: it is a bound, which none can be expected to reach."
    )


def _rows_in(simulation: Simulation, tokens: CellTokens) -> Int[ndarray, " cell"] | None:
    """The simulated cell that each cell of the split is; None where names or counts differ."""
    if not all(re.fullmatch(r"cell_\d+", name) for name in tokens.store.cell_ids):
        return None
    rows = np.array([int(name.removeprefix("cell_")) for name in tokens.store.cell_ids])
    if rows.max(initial=0) >= simulation.counts.shape[0]:
        return None
    totals = np.asarray(simulation.counts.sum(axis=1)).ravel()[rows]
    return rows if np.array_equal(totals, np.asarray(tokens.store.total_counts)) else None


def _encoder(tokens: CellTokens) -> Encode:
    """Counts of the simulation's genes, which are the columns of its folder, as ranked tokens."""

    def encode(counts: sp.csr_matrix) -> list[Int[ndarray, " _"]]:
        known = tokens.token_of_column >= 0
        counts = counts[:, known]
        ids = tokens.token_of_column[known][counts.indices]
        lengths = np.diff(counts.indptr).astype(np.int64)
        ranked = rank_value_encode(counts.data, ids, tokens.median_of_id[ids], lengths)
        return Ragged(values=ranked, offsets=offsets_of(lengths)).rows()

    return encode
