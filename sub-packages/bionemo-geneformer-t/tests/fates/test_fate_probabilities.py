"""Fate probabilities and steps: closed forms, powers of the matrix, both solvers, any order."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.fates import absorption_solver
from bionemo.geneformer_t.fates.absorption_solver import solve_absorption
from bionemo.geneformer_t.fates.chain_structure import chain_structure, checked_transitions
from bionemo.geneformer_t.fates.fate_probabilities import Fates, fate_probabilities
from bionemo.geneformer_t.fates.terminal_states import TerminalStates

BOTH = pytest.mark.parametrize("direct", [True, False])


def states(*ends: int | list[int], cells: int) -> TerminalStates:
    state = np.full(cells, -1)
    for number, end in enumerate(ends):
        state[end] = number
    names = tuple("ABCDE"[: len(ends)])
    return TerminalStates(names=names, state=state, how="these cells")


def solve(matrix, *ends, direct=None, labels=None) -> Fates:
    cells = [f"cell_{i}" for i in range(matrix.shape[0])]
    transitions = checked_transitions(sp.csr_array(matrix), cells)
    chosen = states(*ends, cells=len(cells))
    structure = chain_structure(transitions)
    return fate_probabilities(transitions, structure, chosen, labels, direct=direct)


def gambler(cells: int, win: float) -> sp.csr_array:
    """One step up with probability `win`, else one step down; both ends stay."""
    ends = np.array([0, cells - 1])
    inner = np.arange(1, cells - 1)
    rows = np.concatenate([inner, inner, ends])
    columns = np.concatenate([inner + 1, inner - 1, ends])
    values = np.repeat([win, 1 - win, 1.0], [len(inner), len(inner), 2])
    return sp.csr_array((values, (rows, columns)), shape=(cells, cells))


def random_chain(rng: np.random.Generator, cells: int, edges: int) -> sp.csr_array:
    """Rows of some random successors, which may be the cell itself."""
    columns = np.concatenate([rng.choice(cells, edges, replace=False) for _ in range(cells)])
    values = rng.dirichlet(np.ones(edges), cells)
    indptr = np.arange(0, cells * edges + 1, edges)
    return sp.csr_array((values.ravel(), columns, indptr), shape=(cells, cells))


@BOTH
@pytest.mark.parametrize(("cells", "win"), [(3, 0.5), (31, 0.5), (31, 0.6), (201, 0.45)])
def test_gamblers_ruin(cells: int, win: float, direct: bool):
    """Feller, 1968, An Introduction to Probability Theory, chapter XIV."""
    found = solve(gambler(cells, win), 0, cells - 1, direct=direct)
    at, end, odds = np.arange(cells), cells - 1, (1 - win) / win
    if win == 0.5:
        up, steps = at / end, at * (end - at)
    else:
        up = (1 - odds**at) / (1 - odds**end)
        steps = (at - end * up) / (1 - 2 * win)
    np.testing.assert_allclose(found.probabilities[:, 1], up, atol=1e-8)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(found.steps, steps, atol=1e-8 * max(1, steps.max()))
    assert (found.reached == 1).all()
    assert found.notes == ()


@BOTH
def test_powers_of_the_matrix_lead_to_the_same_ends(direct):
    rng = np.random.default_rng(0)
    chain = random_chain(rng, 60, 5)
    ends = [[0, 1, 2], [10], [20, 21]]
    found = solve(chain, *ends, direct=direct)
    absorbing = chain.toarray()
    terminal = np.concatenate(ends)
    absorbing[terminal] = np.eye(60)[terminal]
    after, alive = np.eye(60), np.zeros(60)
    inner = np.setdiff1d(np.arange(60), terminal)
    for _ in range(2000):
        alive += after[:, inner].sum(axis=1)
        after = after @ absorbing
    truth = np.stack([after[:, end].sum(axis=1) for end in ends], axis=1)
    np.testing.assert_allclose(found.probabilities, truth, atol=1e-8)
    np.testing.assert_allclose(found.steps, alive, atol=1e-8 * alive.max())
    assert found.solution.error <= 1e-8


def test_both_solvers_agree_and_few_cells_are_solved_directly(monkeypatch):
    chain = random_chain(np.random.default_rng(1), 900, 8)
    ends = [list(range(20)), list(range(20, 50)), [70]]
    direct, iterative = (solve(chain, *ends, direct=way) for way in (True, False))
    assert iterative.solution.iterations > 0
    assert solve(chain, *ends).solution.method == "direct"
    monkeypatch.setattr("bionemo.geneformer_t.fates.absorption_solver.DIRECT_CELLS", 500)
    np.testing.assert_allclose(direct.probabilities, iterative.probabilities, atol=1e-8)
    np.testing.assert_allclose(direct.steps, iterative.steps, rtol=1e-7)
    assert solve(chain, *ends).solution.method == "iterative"


def test_a_chain_that_takes_long_is_solved_in_64_bits(monkeypatch):
    exact = []
    apply = absorption_solver._Iterative._exactly
    monkeypatch.setattr(
        absorption_solver._Iterative, "_exactly", lambda one, x: exact.append(1) or apply(one, x)
    )
    solve(random_chain(np.random.default_rng(1), 900, 8), list(range(20)), 70, direct=False)
    assert not exact
    found = solve(gambler(1201, 0.5), 0, 1200, direct=False)
    assert exact
    np.testing.assert_allclose(found.probabilities[:, 1], np.arange(1201) / 1200, atol=1e-7)


def test_the_matrix_is_not_copied():
    number, edges = 40_000, 30
    cells = np.random.default_rng(2).integers(number, size=number * edges, dtype=np.int32)
    ends = np.arange(0, number * edges + 1, edges, dtype=np.int32)
    chain = sp.csr_array((np.full(len(cells), 1 / edges), cells, ends), (number, number))
    chain.sum_duplicates()
    tracemalloc.start()
    found = solve(chain, list(range(50)), [70], [90], direct=False)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.solution.iterations > 0
    size = chain.data.nbytes + chain.indices.nbytes
    assert highest < 1.9 * size  # a copy in 32 bits, groups, vectors and the names of cells


def test_the_bound_holds_for_the_true_error():
    chain = gambler(301, 0.5)
    found = solve(chain, 0, 300, direct=False)
    error = np.abs(found.probabilities[:, 1] - np.arange(301) / 300).max()
    assert error <= found.solution.error <= 1e-7


@BOTH
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), cells=st.integers(6, 40), edges=st.integers(1, 5))
def test_fates_do_not_depend_on_the_order_of_cells(direct, seed, cells, edges):
    rng = np.random.default_rng(seed)
    chain = random_chain(rng, cells, edges) * 0.9 + sp.csr_array(
        (np.full(cells, 0.1), (np.arange(cells), rng.integers(3, size=cells))), (cells, cells)
    )
    order = rng.permutation(cells)
    place = np.argsort(order)
    one = solve(chain, 0, 1, direct=direct)
    other = solve(chain[order][:, order], place[0], place[1], direct=direct)
    np.testing.assert_allclose(one.probabilities[order], other.probabilities, atol=1e-7)
    np.testing.assert_allclose(one.steps[order], other.steps, rtol=1e-6)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), cells=st.integers(4, 30), edges=st.integers(1, 4))
def test_random_chains_satisfy_the_equations_of_absorption(seed, cells, edges):
    """A cell's chance is the mean of its successors', and its steps one more than theirs."""
    chain = random_chain(np.random.default_rng(seed), cells, edges).toarray()
    try:
        found = solve(chain, 0, 1)
    except ValueError as error:
        assert "no path leads" in str(error)  # noqa: PT017 - of some chains alone
        return
    hit = np.nan_to_num(found.probabilities) * found.reached[:, None]
    inner = np.setdiff1d(np.arange(cells), [0, 1])
    np.testing.assert_allclose((chain @ hit)[inner], hit[inner], atol=1e-7)
    weight = found.reached
    counted = np.nan_to_num(found.steps) * weight
    np.testing.assert_allclose(
        counted[inner], (chain @ counted + weight)[inner], rtol=1e-6, atol=1e-6 * counted.max()
    )
    assert (np.isnan(found.steps) == np.isnan(found.probabilities).all(axis=1)).all()


def test_more_than_one_cell_ends_a_fate_and_entropy_is_in_nats():
    matrix = np.array([[0, 0.25, 0.25, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    found = solve(matrix, [1, 2], 3)
    np.testing.assert_allclose(found.probabilities[0], [0.5, 0.5])
    np.testing.assert_allclose(found.entropy, [np.log(2), 0, 0, 0], atol=1e-12)


@BOTH
def test_cells_that_reach_nothing_have_no_fate_and_are_counted(direct):
    matrix = np.eye(6)
    matrix[0] = [0, 0.5, 0.5, 0, 0, 0]
    matrix[4] = [0, 0, 0, 0, 0, 1]
    labels = np.array(["start", "A", "B", "other", "other", "trap"])
    found = solve(matrix, 1, 2, direct=direct, labels=labels)
    assert np.isnan(found.probabilities[3:]).all()
    assert np.isnan(found.steps[3:]).all()
    assert (found.reached[3:] == 0).all()
    assert "3 of 6 cells reach no terminal state (2 of other, 1 of trap)" in found.notes[0]


@BOTH
def test_a_chain_that_may_be_lost_is_described_by_the_paths_that_end(direct):
    matrix = np.zeros((5, 5))
    matrix[0, 1:] = 0.125, 0.375, 0.25, 0.25  # A, B, a detour, a trap
    matrix[3, [1, 4]] = 0.5
    matrix[[1, 2, 4], [1, 2, 4]] = 1
    found = solve(matrix, 1, 2, direct=direct)
    np.testing.assert_allclose(found.reached, [0.625, 1, 1, 0.5, 0], atol=1e-8)
    np.testing.assert_allclose(found.probabilities[0], [0.4, 0.6], atol=1e-8)
    np.testing.assert_allclose(found.steps[[0, 3]], [1 + 0.125 / 0.625, 1], atol=1e-7)
    assert any("2 cells may end where no terminal state" in note for note in found.notes)


def leaking(cells: int, leak: float) -> sp.csr_array:
    """The gambler's chain, of which each step may end in a trap, the last cell."""
    inner = np.arange(1, cells - 1)
    chain = gambler(cells, 0.5).tolil()
    chain[inner] = chain[inner] * (1 - leak)
    chain.resize(cells + 1, cells + 1)
    chain[inner, cells] = leak
    chain[cells, cells] = 1
    return sp.csr_array(chain)


def test_the_bound_holds_for_probabilities_of_cells_that_seldom_end(monkeypatch):
    """These are quotients of two small numbers, so errors of the solver grow."""
    where = "bionemo.geneformer_t.fates.fate_probabilities.solve_absorption"

    def wrong(*arguments, **more):
        found = solve_absorption(*arguments, **more)
        return replace(
            found, columns=found.columns + [1e-7, 0][: found.columns.shape[1]], error=1e-7
        )

    monkeypatch.setattr(where, wrong)
    chain = leaking(151, 0.009)
    found = solve(chain, 0, 150)
    live = np.arange(1, 150)
    hit = np.linalg.solve(
        np.eye(149) - chain.toarray()[live][:, live], chain.toarray()[live][:, [0, 150]]
    )
    truth = hit / hit.sum(axis=1, keepdims=True)
    least = found.reached[live].min()
    assert 1e-6 < least < 1e-4
    has_fate = np.isfinite(found.steps[live])
    error = np.abs(found.probabilities[live] - truth)[has_fate].max()
    assert 1e-5 < error <= found.solution.error


def test_cells_that_hardly_ever_end_have_no_fate_and_are_counted():
    found = solve(leaking(151, 0.05), 0, 150)
    lost = np.isnan(found.steps[:-1])
    assert lost[75]
    rarely = f"; {int(lost.sum())} of them do with a probability of 1e-05 or less"
    assert found.notes[0] == (
        f"{int(lost.sum()) + 1} of 152 cells reach no terminal state: they have no fate (NaN)"
        + rarely
    )


def test_terminal_states_that_are_hardly_ever_reached_are_refused():
    matrix = np.eye(4)
    matrix[0] = [0, 4e-6, 4e-6, 1 - 8e-6]
    with pytest.raises(ValueError, match=r"\(A, B\) are hardly ever reached.*3 closed classes"):
        solve(matrix, 1, 2)
    matrix[0] = [0, 1e-5, 1e-5, 1 - 2e-5]
    np.testing.assert_allclose(solve(matrix, 1, 2).probabilities[0], 0.5)


def test_a_state_that_nobody_reaches_is_named():
    matrix = np.eye(4)
    matrix[0] = [0, 1, 0, 0]
    found = solve(matrix, 1, 2, 3)
    assert found.notes == ("no other cell reaches B, C: 0 for all cells outside",)
    np.testing.assert_allclose(found.probabilities[0], [1, 0, 0])


def test_no_path_at_all_names_the_clusters():
    labels = np.array(["stem", "stem", "Alpha", "Beta"])
    with pytest.raises(
        ValueError, match=r"no path leads to any terminal state \(A, B\).*2 of stem"
    ):
        solve(np.eye(4), 2, 3, labels=labels)


@BOTH
def test_a_chain_too_slow_for_its_numbers_is_an_error(direct):
    up = 0.2  # steps grow as 4 ** cells
    with pytest.raises(ValueError, match=r"steps on average|did not converge"):
        solve(gambler(60, up)[1:, :][:, 1:] + sp.csr_array(([0.8], ([0], [0])), (59, 59)),
              58, 57, direct=direct)  # fmt: skip


def test_nearest_cells_on_a_branching_path_converge():
    """As transitions of cells are: local, slow, and of one component."""
    from fates import make_chain

    chain, state = make_chain(2500, 12, seed=0)
    ends = [np.flatnonzero(state == branch) for branch in range(5)]
    direct, iterative = (solve(chain, *ends, direct=way) for way in (True, False))
    np.testing.assert_allclose(direct.probabilities, iterative.probabilities, atol=1e-8)
    np.testing.assert_allclose(direct.steps, iterative.steps, atol=1e-8 * direct.steps.max())
    assert iterative.solution.error <= 1e-8
