"""One verdict for all headline measures: no lead in one of them hides a loss in another."""

from dataclasses import replace

import pytest

from bionemo.geneformer_t.evaluate.evaluation import BASELINES, Advantage
from bionemo.geneformer_t.evaluate.headline import (
    NO_CONTROL,
    NO_INFORMATION,
    TOO_FEW,
    Headline,
    comparison,
    graph_lesson,
    headline_measures,
)
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.row_names import RANDOM_WEIGHTS, SHUFFLED
from bionemo.geneformer_t.evaluate.text import summary
from bionemo.geneformer_t.report.evaluation_files import score_values

SIMILAR, RIDGE = "successors of similar cells", "ridge regression"
BETTER, ALIKE, WORSE = (
    Interval(mean=mean, low=mean - 0.02, high=mean + 0.02) for mean in (0.03, 0.01, -0.04)
)


def gain(everything=BETTER, changed=BETTER, change=BETTER, direction=BETTER) -> Advantage:
    return Advantage(all=everything, changed=changed, change=change, direction=direction)


@pytest.fixture
def with_gains(scored):
    """The evaluation, with these gains over some baselines or controls, and clear ones else."""

    def build(**gains):
        names = {"similar": SIMILAR, "ridge": RIDGE, "shuffled": SHUFFLED, "random": RANDOM_WEIGHTS}
        given = {names[name]: value for name, value in gains.items()}
        return replace(scored, advantages={**dict.fromkeys(BASELINES, gain()), **given})

    return build


def test_the_model_beats_all_only_where_nothing_is_worse(with_gains) -> None:
    closest = replace(BETTER, mean=0.025, low=0.005, high=0.045)
    found = Headline.of(with_gains(similar=gain(closest, ALIKE, ALIKE, ALIKE)))
    assert found.beats_all
    assert found.sentence == (
        "The model beats every baseline: successors of similar cells, the best one, by 0.025 nats "
        "per position (95 % interval 0.005 to 0.045), and in no headline measure (cross-entropy "
        "over all genes, cross-entropy over new genes, change of genes, direction) is it worse "
        "than any beyond the interval."
    )


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ("everything", "cross-entropy over all genes"),
        ("changed", "cross-entropy over new genes"),
        ("change", "change of genes"),
        ("direction", "direction"),
    ],
)
def test_a_loss_in_any_measure_to_any_baseline_is_no_win_and_is_named(
    with_gains, measure, words
) -> None:
    evaluation = with_gains(ridge=gain(**{measure: WORSE}))
    found = Headline.of(evaluation)
    assert found.beats_all is False
    assert found.sentence == (
        f"The model does not beat every baseline: it is worse in {words} than ridge regression."
    )
    assert found.to_dict()["worse"] == {RIDGE: [words]}
    assert score_values(evaluation)["verdict"] == found.to_dict()
    text = summary(evaluation)
    assert found.sentence in text
    assert "beats ridge regression" not in text
    assert f"beats {SIMILAR} by" in text


def test_a_baseline_that_is_not_left_behind_is_named_with_the_interval(with_gains) -> None:
    found = Headline.of(with_gains(similar=gain(ALIKE, BETTER, BETTER, BETTER)))
    assert found.beats_all is False
    assert found.sentence.endswith(
        "no better in cross-entropy over all genes than successors of similar cells: it gains "
        "0.010 nats per position (95 % interval -0.010 to 0.030)."
    )
    lost = dict.fromkeys(("similar", "ridge"), gain(direction=WORSE))
    assert "worse in direction than successors of similar cells and ridge regression" in (
        Headline.of(with_gains(**lost)).sentence
    )


def test_too_few_cells_give_no_verdict_and_a_measure_with_too_few_is_not_claimed(
    with_gains,
) -> None:
    few = replace(BETTER, is_enough=False)
    found = Headline.of(with_gains(similar=gain(few)))
    assert found.beats_all is None
    assert found.sentence == TOO_FEW
    found = Headline.of(with_gains(similar=gain(changed=few)))
    assert found.beats_all
    assert "cross-entropy over new genes" not in found.sentence


def test_controls_are_no_baselines(with_gains) -> None:
    assert Headline.of(with_gains(random=gain(WORSE), shuffled=gain(WORSE))).beats_all


def test_a_lead_that_hides_a_loss_is_told_with_it(with_gains) -> None:
    evaluation = with_gains(ridge=gain(direction=WORSE))
    assert comparison(RIDGE, headline_measures(evaluation, RIDGE)) == (
        "The model does not beat ridge regression: it is worse in direction (-0.040, -0.060 to "
        "-0.020), though its cross-entropy over all genes is lower by 0.030 nats per position (95 "
        "% interval 0.010 to 0.050)."
    )


@pytest.mark.parametrize(
    ("control", "lesson"),
    [
        (
            gain(),
            "What the graph taught: 0.030 nats per position (95 % interval 0.010 to 0.050), 100% "
            "of what the model gains over gene frequencies at each rank; also cross-entropy over "
            "new genes (+0.030, 0.010 to 0.050) and change of genes (+0.030, 0.010 to 0.050) and "
            "direction (+0.030, 0.010 to 0.050).",
        ),
        (gain(ALIKE, ALIKE, ALIKE, ALIKE), NO_INFORMATION),
        (
            gain(ALIKE, ALIKE, ALIKE, BETTER),
            "What the graph taught: direction (+0.030, 0.010 to 0.050); in cross-entropy over all "
            "genes shuffled successors teach as much.",
        ),
        (
            gain(WORSE, WORSE, ALIKE, ALIKE),
            f"{NO_INFORMATION} It is worse than with shuffled successors in cross-entropy over all "
            "genes (-0.040, -0.060 to -0.020) and cross-entropy over new genes (-0.040, -0.060 to "
            "-0.020).",
        ),
    ],
)
def test_what_the_graph_taught_holds_for_every_measure(with_gains, control, lesson) -> None:
    evaluation = with_gains(shuffled=control)
    assert graph_lesson(evaluation) == lesson
    assert score_values(evaluation)["graph_taught"] == lesson
    assert lesson in summary(evaluation)


def test_without_a_control_nothing_is_claimed_of_the_graph(with_gains) -> None:
    assert graph_lesson(with_gains()) == NO_CONTROL
