"""An evaluation in sentences.

They draw the conclusion for the reader: a baseline counts as beaten only where the whole
interval of the paired difference is above zero, rests on enough cells and donors, and no headline
measure is worse (`headline.py`).
"""

from bionemo.geneformer_t.evaluate.dependence_tables import answer_sentences, null_sentence
from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.headline import (
    ALL_GENES,
    Headline,
    comparison,
    graph_lesson,
    headline_measures,
    nats,
)
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.population_text import population_sentence
from bionemo.geneformer_t.evaluate.retrieval.retrieval_text import retrieval_sentences
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.units import LEAST_DONORS, LEAST_UNITS, Units
from bionemo.geneformer_t.table import span


def summary(evaluation: Evaluation) -> str:
    """What was scored, the verdict, what the graph taught, and each baseline by itself."""
    lines = [*scored_sentences(evaluation), Headline.of(evaluation).sentence]
    lines.append(graph_lesson(evaluation))
    for conclusion, details in verdicts(evaluation):
        lines += [conclusion, *(f"   {detail}" for detail in details)]
    if evaluation.retrieval is not None:
        lines += retrieval_sentences(evaluation.retrieval)
    return "\n".join(lines)


def scored_sentences(evaluation: Evaluation) -> list[str]:
    """What was scored, and what the intervals rest on."""
    scored = (
        f"Scored: {evaluation.num_positions:,} positions of {evaluation.num_pairs:,} next cells "
        f"of {evaluation.num_cells:,} current cells, every position masked; "
        f"{evaluation.num_changed:,} of the genes are new in the next cell."
    )
    return [
        scored,
        interval_sentence(evaluation.units),
        *answer_sentences(evaluation),
        null_sentence(evaluation),
    ]


def verdicts(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """The model beside each baseline, populations and bounds: conclusions, with their details."""
    found = []
    for name in evaluation.advantages:
        measures = headline_measures(evaluation, name)
        others = [verdict(what, gain) for what, gain in measures.items() if what != ALL_GENES]
        found.append((comparison(name, measures), [f"{'; '.join(others)}."]))
    found.append(population_sentence(evaluation.populations))
    return found + [(gap_sentence(name, gap), []) for name, gap in evaluation.gaps.items()]


def interval_sentence(units: Units) -> str:
    """What the intervals are for, what they rest on, and where that is too little for a verdict."""
    of_current, of_next = units.effective_cells
    cells = (
        f"{len(units.levels[0].unit):,} current cells and {units.num_next_cells:,} next cells "
        f"(effective numbers: {of_current:.0f} and {of_next:.0f})"
    )
    donors, one_donor = "", ""
    if units.effective_donors is not None:
        donors = f", and on {units.num_donors} donors (effective: {units.effective_donors:.1f})"
    elif units.num_donors == 1:
        one_donor = " All cells are of one donor; how donors differ is not known."
    few = []
    if min(of_current, of_next) < LEAST_UNITS:
        few.append(f"an effective number of at least {LEAST_UNITS} current and of next cells")
    if units.effective_donors is not None and units.effective_donors < LEAST_DONORS:
        few.append(f"an effective number of at least {LEAST_DONORS} donors")
    withheld = f" No verdicts: they need {' and '.join(few)}." if few else ""
    return (
        "Intervals: 95 %, of the mean over the population that these cells were drawn from. They "
        f"rest on {cells}{donors}.{one_donor}{withheld}"
    )


def gap_sentence(bound: str, gap: Interval) -> str:
    """How far the model is from what no model can be expected to beat."""
    subject = MODEL[0].upper() + MODEL[1:]
    if gap.verdict == "worse":
        return (
            f"{subject} is beyond {bound} by {nats(gap, -1)}, which should be "
            "impossible: check for leakage."
        )
    return f"{subject} is above {bound} by {nats(gap)}."


def verdict(what: str, gain: Interval) -> str:
    """A comparison in few words: better and worse only where the whole interval says so."""
    if gain.verdict == "not known":
        return f"{what}: not known"
    word = "no verdict" if gain.verdict == "too few" else gain.verdict
    return f"{what}: {word}, {gain.mean:+.3f} ({span(gain.low, gain.high)})"
