"""Fates of the simulator: probabilities, switch genes, donors and successors agree."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from bionemo.geneformer_t.simulated_fates import FateSettings, FateSimulation, simulate_fates
from bionemo.geneformer_t.switch_genes import SWITCHED_AFTER

SMALL = FateSettings(num_cells=1200, num_genes=160, counts_per_cell=600.0, num_switch_genes=4)
WITH_DONORS = replace(SMALL, num_donors=4, donor_effect=0.8)


@pytest.fixture(scope="module", params=[SMALL, WITH_DONORS], ids=["no donors", "donors"])
def cells(request: pytest.FixtureRequest) -> FateSimulation:
    return simulate_fates(request.param, np.random.default_rng(0))


@pytest.fixture(scope="module")
def many() -> FateSimulation:
    """So many cells with few genes that frequencies can be compared with probabilities."""
    settings = replace(WITH_DONORS, num_cells=30_000, num_genes=160, num_switch_genes=2)
    return simulate_fates(settings, np.random.default_rng(1))


def test_fate_probabilities_sum_to_one_and_are_certain_in_leaves(cells: FateSimulation) -> None:
    fates, leaves = cells.true_fates, cells.switches.leaves
    np.testing.assert_allclose(fates.sum(axis=1), 1)
    for column, leaf in enumerate(leaves):
        assert (fates[cells.branch == leaf, column] == 1).all()
    # a branch that does not lead to a leaf gives it no probability
    reach = cells.programmes.tree.leads_to
    assert (fates[~reach[cells.branch][:, leaves]] == 0).all()


def test_the_logistic_decides(cells: FateSimulation) -> None:
    tree, switches = cells.programmes.tree, cells.switches
    a, b = tree.names.index("A"), tree.names.index("B")
    chosen = (cells.branch == 0) & (cells.pseudotime > SWITCHED_AFTER)
    odds = cells.settings.switch_strength * (cells.state[:, b] - cells.state[:, a])
    odds += (switches.log_odds[:, b] - switches.log_odds[:, a])[cells.donor]
    expected = 1 / (1 + np.exp(-odds[chosen]))
    found = cells.true_fates[chosen, switches.leaves.index(b)]
    np.testing.assert_allclose(found, expected)


def test_lineages_take_branches_as_often_as_was_said(many: FateSimulation) -> None:
    """Cells of the daughters were seen at the same times, so they are as many as the fork says."""
    tree, (a, b) = many.programmes.tree, (1, 2)
    late = (many.pseudotime > 1) & (many.pseudotime < 2)
    for donor in range(many.settings.num_donors):
        own = late & (many.donor == donor)
        share = (many.branch[own] == b).mean()
        error = np.sqrt(share * (1 - share) / own.sum())
        assert abs(share - many.switches.undecided[donor, b]) < 4 * error
    assert set(many.branch[late]) == {a, b}
    # by state: cells whose state favoured B went there more often, as the logistic says
    chance = many.switches.decided(many.state, many.donor)[late, b]
    went = (many.branch == b)[late]
    for lower, upper in ((0, 0.2), (0.4, 0.6), (0.8, 1)):
        group = (chance >= lower) & (chance < upper)
        error = 0.5 / np.sqrt(group.sum())
        assert abs(went[group].mean() - chance[group].mean()) < 4 * error
    assert tree.names[b] == "B"


def test_undecided_cells_have_the_mean_of_the_decided(many: FateSimulation) -> None:
    """Fate probabilities are a martingale over the drawing of the state."""
    in_root = many.branch == 0
    for donor in range(many.settings.num_donors):
        own = in_root & (many.donor == donor)
        decided = many.true_fates[own & many.is_decided]
        undecided = many.true_fates[own & ~many.is_decided]
        assert np.ptp(undecided, axis=0).max() < 1e-12
        error = decided.std(axis=0) / np.sqrt(len(decided))
        assert (np.abs(decided.mean(axis=0) - undecided[0]) < 4 * error).all()


def test_switch_genes_go_with_the_fates_they_drive_and_other_genes_do_not(
    many: FateSimulation,
) -> None:
    counts = sp.csr_array(many.counts)
    for column, leaf in enumerate(many.switches.leaves):
        for mother in many.switches.forks:
            # within donors, whose effects on genes and odds would go together otherwise
            chosen = (many.branch == mother) & many.is_decided & (many.donor == 0)
            fates = many.true_fates[chosen, column]
            if np.ptp(fates) == 0:
                continue
            values = counts[chosen].toarray() / many.depth[chosen, None]
            own = np.array([np.corrcoef(gene, fates)[0, 1] for gene in values.T])
            drives = many.switches.drives(leaf, len(own))
            parents = np.array(many.programmes.tree.parents)
            here = np.zeros(len(own), dtype=bool)
            here[many.switches.genes[parents[many.switches.branch] == mother]] = True
            assert (own[here] * drives[here]).min() > 0.15
            # the correlation of a gene without effect has this standard error
            assert np.abs(own[~here]).max() < 4.5 / np.sqrt(chosen.sum())


def test_drives_knows_what_each_gene_does_to_each_fate(cells: FateSimulation) -> None:
    switches, names = cells.switches, cells.programmes.tree.names
    drives = {names[leaf]: switches.drives(leaf, 160)[switches.genes] for leaf in switches.leaves}
    about = np.array([names[branch] for branch in switches.branch])
    for fate, toward, against, nothing in (
        ("B", {"B"}, {"A"}, {"A1", "A2"}),
        ("A1", {"A", "A1"}, {"B", "A2"}, set()),
    ):
        assert (drives[fate][np.isin(about, list(toward))] == 1).sum() == 2 * len(toward)
        np.testing.assert_array_equal(
            drives[fate],
            switches.sign
            * (np.isin(about, list(toward)).astype(int) - np.isin(about, list(against))),
        )
        assert (drives[fate][np.isin(about, list(nothing))] == 0).all()
    assert np.count_nonzero(switches.drives(switches.leaves[0], 160)) == len(switches.genes) / 2


def test_successors_are_ahead_on_branches_that_can_be_reached(cells: FateSimulation) -> None:
    edges = cells.successors.to_matrix().tocoo()
    ahead = cells.pseudotime[edges.col] - cells.pseudotime[edges.row]
    assert ahead.min() >= SMALL.step / 2
    assert ahead.max() <= 1.5 * SMALL.step
    assert cells.programmes.tree.leads_to[cells.branch[edges.row], cells.branch[edges.col]].all()
    assert cells.successors.out_degree.max() <= SMALL.num_successors
    lonely = cells.successors.out_degree == 0
    assert np.isin(cells.branch[lonely], cells.switches.leaves).all()
    assert cells.pseudotime[lonely].min() > 3 - SMALL.step


def test_absorption_in_the_graph_of_successors_gives_the_true_fates(cells: FateSimulation) -> None:
    matrix = sp.csr_array(cells.successors.to_matrix())
    transitions = sp.diags_array(1 / np.maximum(matrix.sum(axis=1), 1e-300)) @ matrix
    in_leaf, truth = np.isin(cells.branch, cells.switches.leaves), cells.true_fates
    inner = sp.csc_array(sp.eye_array((~in_leaf).sum()) - transitions[~in_leaf][:, ~in_leaf])
    found = spsolve(inner, transitions[~in_leaf][:, in_leaf] @ truth[in_leaf])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for column in range(truth.shape[1]):
        assert np.corrcoef(found[:, column], truth[~in_leaf, column])[0, 1] > 0.9
    # what is left is the noise of few successors, not a tendency
    assert np.abs(found.mean(axis=0) - truth[~in_leaf].mean(axis=0)).max() < 0.03


def test_a_fork_is_weighted_by_the_probability_of_its_branches(cells: FateSimulation) -> None:
    graph, at_fork = cells.successors, (cells.branch == 0) & (cells.pseudotime > 0.86)
    assert at_fork.sum() > 20
    for cell in np.flatnonzero(at_fork):  # their whole window is past the fork
        successors, weights = graph.successors(int(cell))
        for daughter in (1, 2):
            share = weights[cells.branch[successors] == daughter].sum() / weights.sum()
            assert share == pytest.approx(cells.branch_probabilities[cell, daughter])


def test_donors_differ_in_expression_and_odds() -> None:
    cells = simulate_fates(WITH_DONORS, np.random.default_rng(0))
    assert set(cells.donor) == {0, 1, 2, 3}
    assert cells.switches.undecided[:, 1].std() > 0.02
    same = simulate_fates(replace(WITH_DONORS, donor_effect=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(same.switches.undecided[:, 1:], 0.5)


def test_the_generator_decides_everything() -> None:
    first, again = (simulate_fates(WITH_DONORS, np.random.default_rng(0)) for _ in range(2))
    assert (first.counts != again.counts).nnz == 0
    assert (first.successors.to_matrix() != again.successors.to_matrix()).nnz == 0
    other = simulate_fates(WITH_DONORS, np.random.default_rng(1))
    assert (first.counts != other.counts).nnz > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_donors": 4}, "give num_switch_genes too"),
        ({"num_switch_genes": -1}, "num_switch_genes must not be negative"),
        ({"num_switch_genes": 2, "step": 0.8}, "at most 2/3"),
        ({"num_switch_genes": 2, "num_successors": 2}, "above num_branches"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FateSettings(**given)  # type: ignore[arg-type]


def test_too_few_genes_are_refused() -> None:
    settings = replace(SMALL, num_genes=20)
    with pytest.raises(ValueError, match="needs 16 housekeeping genes; there are 5"):
        simulate_fates(settings, np.random.default_rng(0))


def test_a_knocked_out_switch_gene_moves_the_fates_that_it_drives_and_others_move_nothing(
    cells: FateSimulation,
) -> None:
    switches = cells.switches
    ahead = ~np.isin(cells.branch, switches.leaves)
    for gene in switches.genes.tolist():
        changed = cells.without(gene).true_fates - cells.true_fates
        np.testing.assert_allclose(changed.sum(axis=1), 0, atol=1e-12)
        for column, leaf in enumerate(switches.leaves):
            drives = switches.drives(leaf, cells.settings.num_genes)[gene]
            mean = changed[ahead, column].mean()
            assert np.sign(mean) == -drives if drives else abs(mean) < 1e-12
        assert not changed[~ahead].any()
    others = np.setdiff1d(np.arange(cells.settings.num_genes), switches.genes)
    np.testing.assert_array_equal(cells.without(int(others[0])).true_fates, cells.true_fates)


def test_without_a_gene_the_others_speak_for_the_state() -> None:
    cells = simulate_fates(SMALL, np.random.default_rng(0))
    switches, gene = cells.switches, int(cells.switches.genes[0])
    state = np.full((1, len(switches.tree.names)), 0.5)
    off = replace(switches, knocked_out=(gene,))
    # three of four genes show 0.5, and the one that is off counts as 3 below, in its own sense
    expected = 0.5 - (0.5 + 3 * switches.sign[0]) / 4
    found = off.spoken_for(state)
    assert found[0, switches.branch[0]] == pytest.approx(expected)
    assert (np.delete(found[0], switches.branch[0]) == 0.5).all()
