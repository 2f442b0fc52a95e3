"""The simulator: programmes, counts and successors agree with what it says of itself."""

from dataclasses import replace

import numpy as np
import pytest

from bionemo.geneformer_t.simulation import (
    HOUSEKEEPING,
    Simulation,
    SimulationSettings,
    Tree,
    known_successors,
    simulate,
)

SMALL = SimulationSettings(num_cells=600, num_genes=120, counts_per_cell=400.0)


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SMALL, np.random.default_rng(0))


def test_successors_lie_a_short_step_ahead_on_branches_that_can_be_reached(
    small: Simulation,
) -> None:
    edges = small.successors.to_matrix().tocoo()
    ahead = small.pseudotime[edges.col] - small.pseudotime[edges.row]
    assert ahead.min() >= SMALL.step / 2
    assert ahead.max() <= 1.5 * SMALL.step
    reach = small.programmes.tree.leads_to
    assert reach[small.branch[edges.row], small.branch[edges.col]].all()


def test_successors_are_at_most_as_many_as_asked_and_nearer_ones_weigh_more(
    small: Simulation,
) -> None:
    assert small.successors.out_degree.max() == SMALL.num_successors
    edges = small.successors.to_matrix().tocoo()
    off = np.abs(small.pseudotime[edges.col] - small.pseudotime[edges.row] - SMALL.step)
    assert np.corrcoef(off, edges.data)[0, 1] < -0.9


def test_only_cells_near_the_ends_lack_successors(small: Simulation) -> None:
    lonely = small.successors.out_degree == 0
    tree = small.programmes.tree
    is_leaf = ~np.isin(small.branch, tree.parents)
    along = small.pseudotime - tree.starts[small.branch]
    assert is_leaf[lonely].all()
    assert along[lonely].min() > 1 - SMALL.step


def test_a_fork_leads_into_every_daughter() -> None:
    tree = Tree.forked(3)
    branch = np.array([0, 1, 2, 3])
    pseudotime = np.array([0.9, 1.2, 1.2, 1.2])
    graph = known_successors(tree, branch, pseudotime, step=0.3, num_successors=5)
    assert graph.successors(0)[0].tolist() == [1, 2, 3]
    assert graph.num_edges == 3


def test_mean_expression_is_what_the_counts_scatter_around(small: Simulation) -> None:
    branch, pseudotime = np.full(4000, 1), np.full(4000, 1.5)
    mean = small.programmes.mean_expression(branch[:1], pseudotime[:1])[0]
    depth = np.full(4000, 300.0)
    counts = small.programmes.sample_counts(branch, pseudotime, depth, np.random.default_rng(1))
    error = np.asarray(counts.mean(axis=0)).ravel() - 300 * mean
    # the standard error of a negative binomial mean; 5 of them are never passed by chance
    spread = np.sqrt((300 * mean + SMALL.dispersion * (300 * mean) ** 2) / 4000)
    assert np.abs(error / spread).max() < 5
    assert mean.sum() == pytest.approx(1)


def test_counts_are_overdispersed_as_set() -> None:
    settings = replace(SMALL, dispersion=0.5)
    programmes = simulate(settings, np.random.default_rng(0)).programmes
    place = np.zeros(4000, dtype=np.int64), np.full(4000, 0.5)
    counts = programmes.sample_counts(*place, np.full(4000, 2000.0), np.random.default_rng(1))
    dense = counts.toarray().astype(np.float64)
    strong = dense.mean(axis=0) > 20
    mean, variance = dense[:, strong].mean(axis=0), dense[:, strong].var(axis=0)
    estimate = ((variance - mean) / mean**2).mean()
    assert estimate == pytest.approx(0.5, rel=0.15)  # 4,000 cells leave about 5 % of noise


def test_programmes_are_silent_off_their_branch_and_continuous_at_forks(
    small: Simulation,
) -> None:
    programmes = small.programmes
    on_b = programmes.activity(np.array([2]), np.array([1.9]))[0]
    assert (on_b[programmes.branch == 1] == 0).all()
    assert (on_b[programmes.branch == HOUSEKEEPING] == 0).all()
    mother, daughter = programmes.activity(np.array([0, 1]), np.array([1.0, 1.0]))
    assert np.abs(mother - daughter).max() < 0.1


def test_default_cells_detect_about_two_hundred_genes() -> None:
    default = simulate(SimulationSettings(), np.random.default_rng(42))
    assert default.counts.shape == (3000, 600)
    assert 180 < default.counts.getnnz(axis=1).mean() < 260
    assert default.gene_ids[0] == "ENSG00000000001"


def test_the_generator_decides_everything(small: Simulation) -> None:
    again = simulate(SMALL, np.random.default_rng(0))
    other = simulate(SMALL, np.random.default_rng(1))
    assert (again.counts != small.counts).nnz == 0
    assert (other.counts != small.counts).nnz > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_cells", 0), ("step", -1.0), ("housekeeping_share", 1.5), ("num_branches", 1)],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        SimulationSettings(**{name: value})  # type: ignore[arg-type]
