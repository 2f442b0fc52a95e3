"""Populations of simulated cells: what is said of equal ones, and of those far apart."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.population_text import population_sentence
from bionemo.geneformer_t.evaluate.scores.population import DISTANCES
from bionemo.geneformer_t.evaluate.scores.population_deals import Times
from bionemo.geneformer_t.evaluate.scores.population_reference import (
    NO_CHANGE,
    RETRIEVED,
    SAME_TIMES,
    SPLIT_IN_TWO,
    TRAINING_CELLS,
    PopulationReference,
    Populations,
)
from bionemo.geneformer_t.evaluate.units import Units

NUM_CELLS, NUM_GENES = 30, 20


def compared(
    seed: int,
    shift: float,
    reached: float,
    donors: int = 0,
    times: Times | None = None,
    spread: float = 1.0,
    retrieved: float | None = None,
) -> Populations:
    """Next cells that are moved against current ones, and a model that moves them some of the way.

    Each cell has two programmes and noise; current and next cells are different ones.
    """
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(0).normal(size=(2, NUM_GENES))
    way = shift * loadings[0] / np.linalg.norm(loadings[0])

    def draw(moved: float) -> np.ndarray:
        noise = rng.normal(size=(NUM_CELLS, NUM_GENES))
        return rng.normal(size=(NUM_CELLS, 2)) @ loadings + noise + moved * way

    pairs = CellPairs(
        encode=lambda _cell: np.zeros(0, dtype=np.int64),
        current=np.arange(NUM_CELLS),
        following=NUM_CELLS + rng.permutation(NUM_CELLS),
        weights=np.ones(NUM_CELLS),
        max_genes=1,
        gene_ids=np.zeros(0, dtype=np.int64),
        vocab_size=NUM_GENES,
    )
    batch = np.array([f"donor {i % donors}" for i in range(2 * NUM_CELLS)]) if donors else None
    current, following = (sp.csr_matrix(draw(moved)) for moved in (0, 1))
    training = sp.csr_matrix(np.concatenate([draw(0.5), draw(0.5)]))
    reference = PopulationReference.of(
        current, following, training, Units.of(pairs, batch), rng, times
    )
    model = reference.distance(spread * draw(reached))
    return reference.compare(model, None if retrieved is None else draw(retrieved))


def test_retrieved_cells_are_a_population_of_their_own():
    for reached, verdict in ((0.0, "worse"), (1.0, "better")):
        found = compared(0, 8.0, reached, retrieved=1 - reached)
        assert next(iter(found.marks)) == RETRIEVED
        assert found.gains[RETRIEVED].energy.verdict == verdict
        sentence, details = population_sentence(found)
        words = {"worse": "further than", "better": "nearer than"}[verdict]
        assert f"{words} real cells that the model retrieves in" in sentence
        assert "above 0 the model is nearer" in details[0]
        assert details[1].startswith("Real cells that the model retrieves minus the model: energy")
    assert RETRIEVED not in compared(0, 8.0, 0.5).marks


@pytest.fixture(scope="module")
def equal() -> list[Populations]:
    """Current cells, next cells and predictions of one distribution, again and again."""
    return [compared(seed, 0.0, 0.0) for seed in range(40)]


def test_no_power_is_said_of_equal_populations(equal) -> None:
    said = [population_sentence(found)[0].startswith("Populations: no power.") for found in equal]
    assert np.mean(said) >= 0.95


def test_equal_populations_are_at_no_distance_on_average(equal) -> None:
    for name in DISTANCES:
        for mark in (NO_CHANGE, TRAINING_CELLS):
            means = np.array([found.marks[mark].intervals[name].mean for found in equal])
            assert abs(means.mean()) < 4 * means.std() / np.sqrt(len(means))


def test_no_equal_population_is_called_nearer(equal) -> None:
    """Intervals hold 0 in at least 95 % of draws; 40 tell that to 3.4 %."""
    for name in DISTANCES:
        for mark in (NO_CHANGE, SPLIT_IN_TWO):
            verdicts = [found.gains[mark].intervals[name].verdict for found in equal]
            assert np.mean(np.array(verdicts) == "no better") >= 0.95 - 2 * 0.034


def test_cells_with_too_little_spread_are_further_not_nearer_in_every_distance() -> None:
    """At few cells the Wasserstein distance as it is would call them nearer than true cells."""
    found = [compared(seed, 0.0, 0.0, spread=0.2).gains[SPLIT_IN_TWO] for seed in range(8)]
    for name in DISTANCES:
        means = np.array([gain.intervals[name].mean for gain in found])
        assert means.mean() < -3 * means.std() / np.sqrt(len(means))
        assert not any(gain.intervals[name].verdict == "better" for gain in found)


def test_a_far_population_has_power_and_a_good_model_is_nearer_in_all_distances() -> None:
    told_apart = 0
    for seed in range(5):
        found = compared(seed, 20.0, 1.0)
        conclusion, details = population_sentence(found)
        nearer = "nearer than the current cells as they are in energy, Wasserstein and MMD"
        assert nearer in conclusion
        told_apart += "further than other true next cells" in conclusion
        assert len(details) == 1 + len(found.gains)
        assert found.num_cells == NUM_CELLS // 2
    assert told_apart <= 2  # each time by chance in 2.5 % for each distance


def test_a_bad_model_is_further_than_no_change() -> None:
    conclusion, _ = population_sentence(compared(0, 20.0, -1.0))
    # the kernel of the MMD is too narrow for populations so far apart
    assert "further than the current cells as they are in energy and Wasserstein" in conclusion


def test_intervals_have_the_width_of_the_spread_over_samples() -> None:
    found = [compared(seed, 6.0, 0.5).gains[NO_CHANGE] for seed in range(24)]
    for name in DISTANCES:
        gains = [gain.intervals[name] for gain in found]
        half = np.mean([gain.high - gain.mean for gain in gains]) / 2.05  # Student's t, 29 degrees
        # 24 draws tell a standard deviation to 15 %
        assert 0.7 < half / np.std([gain.mean for gain in gains]) < 1.5


def test_a_distance_without_power_is_named_and_not_read() -> None:
    from dataclasses import replace

    found = compared(0, 20.0, 1.0)
    blind = replace(found.power.mmd, low=-1.0)
    conclusion, details = population_sentence(replace(found, power=replace(found.power, mmd=blind)))
    assert "MMD" not in conclusion
    assert details[1].startswith("No power, and not read: MMD (")


def test_intervals_over_few_donors_give_no_verdict() -> None:
    conclusion, _ = population_sentence(compared(0, 20.0, 1.0, donors=3))
    assert "too few cells or donors for a verdict" in conclusion


def test_training_cells_of_the_same_times_are_shown_where_there_are_times() -> None:
    times = Times(following=np.ones(NUM_CELLS), training=np.ones(2 * NUM_CELLS), step=1.0)
    assert list(compared(0, 5.0, 1.0).marks) == [NO_CHANGE, SPLIT_IN_TWO, TRAINING_CELLS]
    assert SAME_TIMES in compared(0, 5.0, 1.0, times=times).marks
