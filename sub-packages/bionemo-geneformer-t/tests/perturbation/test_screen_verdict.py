"""The verdict on a screen: what it finds beside controls and simple methods, in words."""

import numpy as np
import pytest

from bionemo.geneformer_t.perturbation.effect_tests import EffectTests
from bionemo.geneformer_t.perturbation.null_settings import NullSettings
from bionemo.geneformer_t.perturbation.screen_verdict import (
    HEADER,
    NO_CONTROL,
    NOTHING_BEYOND,
    Overlap,
    ScreenVerdict,
    notes_on_tests,
)

RNG = np.random.default_rng(0)


def a_test(
    z: np.ndarray, found: int, units: np.ndarray | None = None, cells: int = 100
) -> EffectTests:
    """Tests whose first `found` targets by the size of z are discovered."""
    order = np.argsort(np.argsort(-np.abs(z)))
    fdr = np.where(np.isfinite(z), np.where(order < found, 0.01, 0.6), np.nan)[:, None]
    number = len(z)
    return EffectTests(
        effect=z[:, None], null_mean=np.zeros((number, 1)), null_sd=np.ones((number, 1)),
        z=z[:, None], p_value=fdr, fdr=fdr, donor_p_value=fdr, cells=np.full(number, cells),
        units=np.full(number, cells) if units is None else units,
        null_size=np.full(number, 100), shapes=[],
    )  # fmt: skip


def verdict(model: EffectTests, controls=None, baselines=None) -> ScreenVerdict:
    return ScreenVerdict.of(["to A"], model, controls or {}, baselines or {})


def test_discoveries_are_beside_those_of_controls() -> None:
    z = RNG.standard_normal(1000)
    found = verdict(a_test(z, 40), {"shuffled graph": a_test(z, 2), "random": a_test(z, 0)})
    assert found.sentences == [
        HEADER,
        "to A: 40 of 1,000 (4.0 %) targets at q < 0.05 (shuffled graph: 2 of 1,000 (0.2 %); "
        "random: 0 of 1,000 (0.0 %)).",
    ]
    assert found.beyond_controls.tolist() == [True]


@pytest.mark.parametrize(
    ("model", "control", "reason"),
    [
        (400, 51, "shuffled graph has 51, more than 5 %."),
        (40, 40, "shuffled graph has 40."),
        (40, 41, "shuffled graph has 41."),
        (40, 60, "shuffled graph has 60, more than 5 %."),
    ],
)
def test_what_a_model_without_a_graph_finds_is_nothing(
    model: int, control: int, reason: str
) -> None:
    z = RNG.standard_normal(1000)
    controls = {"shuffled graph": a_test(z, control), "random weights": a_test(z, 0)}
    found = verdict(a_test(z, model), controls)
    assert found.sentences[1].endswith(f". {NOTHING_BEYOND}: {reason}")
    assert found.beyond_controls.tolist() == [False]


def test_nothing_found_is_said_so() -> None:
    z = RNG.standard_normal(50)
    found = verdict(a_test(z, 0))
    assert found.sentences == [
        HEADER, "to A: 0 of 50 (0.0 %) targets at q < 0.05. Nothing was found.", NO_CONTROL
    ]  # fmt: skip
    untested = verdict(a_test(np.full(5, np.nan), 0))
    assert untested.sentences[1] == "to A: no target could be tested."


def test_the_model_is_no_better_where_it_adds_nothing() -> None:
    z = RNG.standard_normal(200)
    same = verdict(a_test(z, 5), baselines={"ridge regression": a_test(2 * z, 6)})
    assert same.sentences[2] == (
        "to A, the model is no better than ridge regression: 20 of its first 20 targets are among "
        "the first 20 there, with the same sign (by chance 1.0); 5 of its 5 discoveries are made "
        "there too; rank correlation 1.00 over 200 targets."
    )
    other = verdict(a_test(z, 5), baselines={"correlation": a_test(-z, 6)})
    assert other.sentences[2] == (
        "to A, beside correlation: 0 of its first 20 targets are among the first 20 there, with "
        "the same sign (by chance 1.0); 0 of its 5 discoveries are made there too; rank "
        "correlation -1.00 over 200 targets."
    )


def test_discoveries_of_the_baseline_alone_add_nothing_to_it() -> None:
    z, theirs = RNG.standard_normal(200), RNG.standard_normal(200)
    first = np.argsort(-np.abs(z))[:2]
    theirs[first] = 9 * np.sign(z[first])
    model, baseline = a_test(z, 2), a_test(theirs, 2)
    found = Overlap.of(model, baseline, 0)
    assert found.shared < 16
    assert (found.found, found.found_by_both) == (2, 2)
    assert found.adds_nothing
    assert not Overlap.of(a_test(z, 3), baseline, 0).adds_nothing
    assert not Overlap.of(a_test(z, 0), baseline, 0).adds_nothing


def test_few_targets_are_not_compared_by_their_first_20() -> None:
    z = RNG.standard_normal(39)
    assert Overlap.of(a_test(z, 0), a_test(z, 0), 0).first == 0
    nothing = np.full(39, np.nan)
    found = verdict(a_test(z, 0), baselines={"ridge regression": a_test(nothing, 0)})
    assert found.sentences[2] == "Too few targets to compare the model with ridge regression."


def test_the_overlap_by_chance_is_that_of_unrelated_rankings() -> None:
    shared = [
        Overlap.of(a_test(one, 0), a_test(other, 0), 0).shared
        for one, other in RNG.standard_normal((300, 2, 80))
    ]
    expected = Overlap.of(a_test(np.arange(80.0), 0), a_test(np.ones(80), 0), 0).by_chance
    assert np.mean(shared) == pytest.approx(expected, abs=0.3)


def test_notes_say_what_p_values_are_about() -> None:
    z = RNG.standard_normal(6)
    settings = NullSettings()
    (note,) = notes_on_tests(a_test(z, 0), settings, with_donors=False)
    assert note == "no donors are given: p-values are about these cells, not further donors"
    (note,) = notes_on_tests(a_test(z, 0, np.full(6, 3)), settings, with_donors=True)
    assert note.startswith("only 3 donors: no p-value over donors, which needs 4")
    units = np.array([6, 6, 3, 6, 6, 6])
    notes = notes_on_tests(a_test(z, 0, units), settings, with_donors=True)
    assert notes == [
        "units: 6 donors",
        "targets with fewer than 4 donors of 5 affected cells, and no p-value over donors: 1",
    ]
    few = notes_on_tests(a_test(z * np.nan, 0, cells=12), settings, with_donors=False)
    assert few[1] == (
        "6 of 6 targets do something in fewer than 30 cells (min_cells): effects without rank and "
        "p-value"
    )
    unmatched = notes_on_tests(a_test(z * np.nan, 0), settings, with_donors=False)
    assert unmatched[1].startswith("6 targets have too few matched genes")
