"""A report takes every measure whose facts are there, deterministically."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality


def test_measures_without_their_fact_are_left_out(chain) -> None:
    bare = graph_quality(chain, CellFacts(), np.random.default_rng(0))
    assert (bare.num_cells, bare.num_edges) == (10, 9)
    for name in ("direction", "distances", "reach", "batches", "clusters", "leakage"):
        assert getattr(bare, name) is None


def test_every_measure_is_taken_where_its_fact_is(simulation, simulated_facts) -> None:
    batch = pd.Categorical(np.where(np.arange(400) % 2, "odd", "even"))
    facts = replace(simulated_facts, batch=batch)
    found = graph_quality(simulation.successors, facts, np.random.default_rng(0), {"self-loop": 3})
    assert all(value is not None for value in vars(found).values())
    assert found.dropped == {"self-loop": 3}
    assert found.direction.backward == 0
    assert found.reach.origin == "the earliest twentieth"
    assert found.batches.crossing == pytest.approx(found.batches.expected, abs=0.1)


def test_a_given_root_is_where_reach_begins(chain) -> None:
    roots = np.arange(10) == 6
    found = graph_quality(chain, CellFacts(roots=roots), np.random.default_rng(0)).reach
    assert (found.origin, found.num_reached) == ("given", 4)


def test_the_same_generator_gives_the_same_report(simulation, simulated_facts) -> None:
    first, second = (
        graph_quality(simulation.successors, simulated_facts, np.random.default_rng(7))
        for _ in range(2)
    )
    np.testing.assert_equal(asdict(first), asdict(second))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (CellFacts(time=np.zeros(9)), "time must have one entry for each of the 10 cells"),
        (CellFacts(representation=np.full((10, 2), np.nan)), "10 cells have coordinates"),
    ],
)
def test_facts_about_other_cells_are_refused(chain, facts, message) -> None:
    with pytest.raises(ValueError, match=message):
        graph_quality(chain, facts, np.random.default_rng(0))


def test_a_graph_without_edges_is_measured(graph_of) -> None:
    facts = CellFacts(
        representation=np.zeros((4, 2)), time=np.arange(4.0), batch=pd.Categorical(list("abab")),
        cluster=pd.Categorical(list("abab")),
    )  # fmt: skip
    found = graph_quality(graph_of([], 4), facts, np.random.default_rng(0))
    assert found.out_degree.num_zero == 4
    assert found.reciprocity is found.direction is found.distances is found.batches is None
    assert found.reach.num_reached == found.reach.num_roots
