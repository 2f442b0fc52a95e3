import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.evaluate.baselines.copy_current import fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.training_folds import NUM_FOLDS
from bionemo.geneformer_t.evaluate.baselines.uniform import Uniform, fit_uniform
from bionemo.geneformer_t.evaluate.evaluation import BASELINES, DRAWN_BASELINES, evaluate
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPredictor
from bionemo.geneformer_t.evaluate.headline import NO_INFORMATION, Headline
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.population_text import population_sentence
from bionemo.geneformer_t.evaluate.row_names import MODEL, SHUFFLED, SIMULATOR
from bionemo.geneformer_t.evaluate.score_tables import token_table
from bionemo.geneformer_t.evaluate.scores.population_reference import NO_CHANGE
from bionemo.geneformer_t.evaluate.text import gap_sentence, summary
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.legend import legend


@pytest.fixture
def evaluation_of(random_split, fitted):
    def build(fit, copy=0.9):
        train, test = random_split(0, copy=copy), random_split(1, copy=copy)
        model = fitted(fit, train)
        return evaluate(model, test, train, np.random.default_rng(0))

    return build


@pytest.mark.slow
def test_a_model_is_scored_beside_every_baseline(evaluation_of) -> None:
    evaluation = evaluation_of(fit_copy_current)
    assert list(evaluation.rows) == [MODEL, *BASELINES]
    assert evaluation.num_pairs == 2 * 58
    for row in evaluation.rows.values():
        assert row.interval.low <= row.all.cross_entropy <= row.interval.high


@pytest.mark.slow
def test_a_look_up_of_drawn_cells_is_a_baseline_where_the_model_learned_from_them(
    random_split, fitted
) -> None:
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    unseen = []

    def redraw(pairs, held_out):
        unseen.append(held_out)
        assert not np.isin(held_out, pairs.following).any()
        return pairs  # the same cells again: both look-ups are the same

    model = fitted(fit_uniform, train)
    evaluation = evaluate(model, test, train, np.random.default_rng(0), redraw=redraw)
    (drawn,) = DRAWN_BASELINES
    measured = "successors of similar cells"
    assert evaluation.baselines == [*BASELINES, drawn]
    assert evaluation.rows[drawn].interval == evaluation.rows[measured].interval
    assert drawn in Headline.of(evaluation).gains
    assert drawn in legend(evaluation)
    assert sum(len(cells) == 0 for cells in unseen) == 1  # all pairs in the end
    assert len(unseen) == 1 + NUM_FOLDS


@pytest.mark.slow
def test_the_summary_says_when_the_model_is_no_better(evaluation_of) -> None:
    text = summary(evaluation_of(fit_copy_current))
    assert "The model is no better than copying the current cell" in text
    assert "The model beats gene frequencies at each rank by" in text
    assert "The model beats guessing among all genes" in text


def test_the_summary_says_what_populations_say(evaluation_of) -> None:
    evaluation = evaluation_of(fit_uniform)
    conclusion, details = population_sentence(evaluation.populations)
    assert conclusion in summary(evaluation)
    assert all(detail in summary(evaluation) for detail in details)
    own, mark = evaluation.rows[MODEL].whole.population, evaluation.populations.marks[NO_CHANGE]
    gain = evaluation.populations.gains[NO_CHANGE]
    for name, found in gain.intervals.items():
        difference = mark.intervals[name].mean - own.intervals[name].mean
        assert found.mean == pytest.approx(difference)


@pytest.mark.slow
def test_the_summary_says_when_the_model_is_worse(evaluation_of) -> None:
    text = summary(evaluation_of(fit_uniform))
    assert "The model is no better than copying the current cell, it is worse" in text
    assert "The model beats copying" not in text


@pytest.mark.slow
def test_the_table_names_units_and_lines_up(evaluation_of) -> None:
    _, heading, *lines = token_table(evaluation_of(fit_copy_current)).text().splitlines()
    assert heading.index("genes new in the next cell") > heading.index("all genes")
    assert "nats" in lines[1]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 2 + 1 + len(BASELINES)


def test_a_table_without_changed_genes_has_dashes(split_of) -> None:
    pairs = split_of([[5, 6]] * 10, {i: {i + 1: 1.0} for i in range(9)})
    uniform = Uniform.over(pairs.gene_ids, pairs.vocab_size)
    evaluation = evaluate(uniform, pairs, pairs, np.random.default_rng(0))
    assert token_table(evaluation).text().splitlines()[-1].split()[-4:] == ["-"] * 4
    assert "new in the next cell, " not in summary(evaluation)


@pytest.mark.slow
def test_controls_and_bounds_have_rows_and_words_of_their_own(random_split, fitted) -> None:
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    copying, uniform = fitted(fit_copy_current, train), Uniform.over(test.gene_ids, test.vocab_size)
    asked = []

    def of_cells(rows, num_ranks):
        asked.extend(rows.tolist())
        return copying([test.encode(int(row))[: test.max_genes] for row in rows], num_ranks)

    evaluation = evaluate(
        uniform, test, train, np.random.default_rng(0),
        controls={SHUFFLED: copying}, bounds={SIMULATOR: CellPredictor(of_cells=of_cells)},
    )  # fmt: skip
    assert list(evaluation.rows) == [MODEL, SHUFFLED, *BASELINES, SIMULATOR]
    assert asked == test.cells.tolist()
    known = evaluation.rows[SIMULATOR].all.cross_entropy
    assert known == pytest.approx(evaluation.rows[SHUFFLED].all.cross_entropy)
    gap = evaluation.gaps[SIMULATOR]
    assert gap.mean == pytest.approx(evaluation.rows[MODEL].all.cross_entropy - known)
    text = summary(evaluation)
    assert NO_INFORMATION in text
    assert "The model is above the simulator's own distribution by" in text
    better = evaluate(copying, test, train, np.random.default_rng(0), controls={SHUFFLED: uniform})
    assert NO_INFORMATION not in summary(better)
    assert "The model beats a model of shuffled successors" in summary(better)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "All cells are of one donor; how donors differ is not known."),
        (3, "and on 3 donors (effective: 3.0). No verdicts: they need an effective number of at"),
        (20, "and on 20 donors (effective: 19"),
    ],
)
@pytest.mark.slow
def test_intervals_are_over_donors_too_where_they_are_known(random_split, number, words) -> None:
    pairs = random_split()
    donors = np.array([f"donor {cell % number}" for cell in range(60)])
    uniform = Uniform.over(pairs.gene_ids, pairs.vocab_size)
    evaluation = evaluate(
        uniform,
        pairs,
        pairs,
        np.random.default_rng(0),
        facts=CellFacts(batch=pd.Categorical(donors)),
    )
    assert evaluation.units.num_donors == number
    text = summary(evaluation)
    assert words in text
    assert "58 current cells and 59 next cells (effective numbers: 58 and 58)" in text
    assert ("Too few cells or donors to tell whether" in text) == (number == 3)
    assert ("it is worse" in text) == (number != 3)


def test_a_model_that_is_beyond_its_bound_is_to_be_checked_for_leakage():
    assert gap_sentence("the bound", Interval(mean=-0.2, low=-0.3, high=-0.1)) == (
        "The model is beyond the bound by 0.200 nats per position (95 % interval 0.100 to 0.300), "
        "which should be impossible: check for leakage."
    )


def test_no_seed_turns_a_verdict(random_split, fitted) -> None:
    """Only cells drawn from predictions differ; gains and intervals are equal to the last bit."""
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    model = fitted(fit_copy_current, train)
    one, other = (evaluate(model, test, train, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.advantages == other.advantages
    drawn = [found.rows[MODEL].whole.population.energy for found in (one, other)]
    assert drawn[0] != drawn[1]
