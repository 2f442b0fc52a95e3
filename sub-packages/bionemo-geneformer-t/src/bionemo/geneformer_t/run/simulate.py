"""`geneformer-t simulate`: a simulated differentiation as a data folder."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.simulated_fates import FateSettings, FateSimulation
from bionemo.geneformer_t.simulation import NEIGHBOR_KEY, Simulation, SimulationSettings

if TYPE_CHECKING:
    import anndata
    from jaxtyping import Int
    from numpy import ndarray

_SPLIT_STREAM = 1
TIME_BETWEEN = 0.5
"""Pseudotime between the time points of cells with fates."""


@dataclass(frozen=True, kw_only=True)
class SimulateSettings(FateSettings):
    """What to simulate, and where to write it."""

    output_dir: Path
    """Folder to write, which must be new or empty."""
    val_fraction: float = 0.1
    """Fraction of the cells used for validation."""
    test_fraction: float = 0.1
    """Fraction of the cells used for testing."""
    seed: int = 42
    """Random seed; the same seed and settings give the same files."""


@command(SimulateSettings)
def simulate(settings: SimulateSettings) -> Path:
    """Simulate a branching differentiation with known successors and write a data folder.

    For each cell, `obs` contains its `pseudotime`, `branch` and `expected_depth`, and
    `obsm["X_latent"]` its coordinates in a drawing of the tree. The graph `next_cell_ids` contains
    its successors: cells of the same split that are slightly later in pseudotime.

    With `num_switch_genes`, switch genes decide at each fork: `obsm["true_fates"]` contains the
    probability of each fate (the branches that do not fork) for each cell, `obs` its `time_point`
    and `donor`, and `var` the branch that a switch gene is about (`switch_branch`), whether it
    favours it (`switch_sign`, 1 or -1), and what it does to each fate (`drives_B`, ...).
    """
    import numpy as np

    from bionemo.geneformer_t import simulated_fates
    from bionemo.geneformer_t import simulation as simulator
    from bionemo.geneformer_t.data import write_folder
    from bionemo.geneformer_t.prepare.splits import split_by_cell, split_fractions

    record = {"command": "simulate", "settings": _record(settings)}
    if write_folder.is_done(settings.output_dir, record):
        print(f"{settings.output_dir} already contains this simulation")
        return settings.output_dir
    own = FateSettings(
        **{field.name: getattr(settings, field.name) for field in fields(FateSettings)}
    )
    fractions = split_fractions(settings.val_fraction, settings.test_fraction)
    draw = simulated_fates.simulate_fates if own.num_switch_genes else simulator.simulate
    simulation = draw(own, np.random.default_rng(settings.seed))
    split = split_by_cell(
        own.num_cells,
        fractions,
        np.random.default_rng([settings.seed, _SPLIT_STREAM]),
        groups=simulation.branch,
    )
    rows = {name: np.flatnonzero(split == name) for name, fraction in fractions.items() if fraction}
    cells = to_anndata(simulation)
    contents = {
        name: write_folder.SplitContent.of(
            cells[members], {NEIGHBOR_KEY: simulation.successors_among(members)}
        )
        for name, members in rows.items()
    }
    vocab = _vocab(simulation, rows["train"])
    path = write_folder.write_data_folder(settings.output_dir, contents, vocab, record)
    print(_report(settings, simulation, contents))
    return path


def to_anndata(simulation: Simulation) -> "anndata.AnnData":
    """A simulation's cells with what is known about them."""
    import anndata
    import pandas as pd

    programmes, names = simulation.programmes, simulation.programmes.tree.names
    width = len(str(len(simulation.branch) - 1))
    obs = pd.DataFrame(
        {
            "pseudotime": simulation.pseudotime,
            "branch": pd.Categorical([names[i] for i in simulation.branch], categories=list(names)),
            "expected_depth": simulation.depth,
        },
        index=[f"cell_{i:0{width}d}" for i in range(len(simulation.branch))],
    )
    var = pd.DataFrame(
        {
            "programme": [
                names[branch] if branch >= 0 else "housekeeping" for branch in programmes.branch
            ],
            "switched_on": programmes.switched_on,
            "switched_off": programmes.switched_off,
        },
        index=list(simulation.gene_ids),
    )
    cells = anndata.AnnData(
        simulation.counts, obs=obs, var=var, obsm={"X_latent": simulation.latent}
    )
    if isinstance(simulation, FateSimulation):
        _add_fates(cells, simulation)
    return cells


def _add_fates(cells: "anndata.AnnData", simulation: FateSimulation) -> None:
    """What decides, and what is decided."""
    import numpy as np
    import pandas as pd

    switches, names = simulation.switches, simulation.programmes.tree.names
    cells.obs["time_point"] = np.floor(simulation.pseudotime / TIME_BETWEEN).astype(np.int64)
    if simulation.settings.num_donors:
        cells.obs["donor"] = pd.Categorical([f"donor_{number + 1}" for number in simulation.donor])
    fates = [names[leaf] for leaf in switches.leaves]
    cells.obsm["true_fates"] = pd.DataFrame(
        simulation.true_fates, index=cells.obs_names, columns=fates
    )
    branch, sign = np.full(cells.n_vars, "", dtype=object), np.zeros(cells.n_vars, dtype=np.int64)
    branch[switches.genes] = [names[b] for b in switches.branch]
    sign[switches.genes] = switches.sign
    cells.var["switch_branch"], cells.var["switch_sign"] = branch, sign
    for leaf, fate in zip(switches.leaves, fates, strict=True):
        cells.var[f"drives_{fate}"] = switches.drives(leaf, cells.n_vars)


def _vocab(simulation: Simulation, train: "Int[ndarray, ' train_cell']") -> Any:
    import scipy.sparse as sp

    from bionemo.geneformer_t.counts.gene_medians import gene_medians
    from bionemo.geneformer_t.prepare.learned_vocabulary import learn_vocab

    counts, gene_ids = sp.csr_array(simulation.counts[train]), simulation.gene_ids
    return learn_vocab(gene_medians(lambda: [counts], len(gene_ids)), gene_ids)


def _record(settings: SimulateSettings) -> dict[str, Any]:
    """The settings; those of switch genes only where there are some."""
    left_out = {"output_dir"}
    if not settings.num_switch_genes:
        left_out |= {f.name for f in fields(FateSettings)} - {
            f.name for f in fields(SimulationSettings)
        }
    return {name: value for name, value in asdict(settings).items() if name not in left_out}


def _report(settings: SimulateSettings, simulation: Simulation, contents: Any) -> str:
    detected = simulation.counts.getnnz(axis=1).mean()
    lines = [
        f"simulated {settings.num_cells:,} cells x {settings.num_genes:,} genes, "
        f"{detected:.0f} genes detected in a cell, "
        f"branches {', '.join(simulation.programmes.tree.names)}"
    ]
    if isinstance(simulation, FateSimulation):
        lines.append(_report_on_fates(simulation))
    for name, split in contents.items():
        graph = split.graphs[NEIGHBOR_KEY]
        lines.append(
            f"  {name:<6}{graph.num_cells:>7,} cells, {int((graph.out_degree > 0).sum()):,} with "
            f"successors, {graph.num_edges:,} edges"
        )
    lines.append(
        f"next: geneformer-t train --recipe auto --data_dir {settings.output_dir} "
        "--output_dir OUTPUT_DIR"
    )
    return "\n".join(lines)


def _report_on_fates(simulation: FateSimulation) -> str:
    names, switches = simulation.programmes.tree.names, simulation.switches
    shares = zip(switches.leaves, simulation.true_fates.mean(axis=0), strict=True)
    donors = simulation.settings.num_donors
    return (
        f"  fates {', '.join(f'{names[leaf]} {share:.0%}' for leaf, share in shares)}; "
        f"{len(switches.genes)} switch genes; {f'{donors} donors' if donors else 'no donors'}"
    )


if __name__ == "__main__":
    main(simulate)
