"""An evaluation as a table and as sentences.

The sentences draw the conclusion for the reader: a baseline counts as beaten only where the whole
interval of the paired difference lies above zero, and rests on enough cells and donors.
"""

import math
from dataclasses import replace

import numpy as np

from bionemo.geneformer_t.evaluate.evaluation import MODEL, SHUFFLED, Evaluation
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.scores.cell_scores import NO_CHANGE
from bionemo.geneformer_t.evaluate.scores.token_scores import PositionScores
from bionemo.geneformer_t.evaluate.units import LEAST_DONORS, LEAST_UNITS, Units

NO_INFORMATION = "No information in the graph was shown: shuffled successors teach as much."
_HEAD = ("cross-entropy", "top-1", "top-10", "top-100")
_UNITS = ("nats", "%", "%", "%")


def tables(evaluation: Evaluation) -> str:
    """All scores: tokens, whole cells, populations and calibration."""
    parts = (table, cells_table, population_table)
    return "\n\n".join(part(evaluation) for part in parts)


def table(evaluation: Evaluation) -> str:
    """The scores of tokens in aligned columns with their units."""
    rows = [
        ["", "all genes", *[""] * 4, "genes new in the next cell", *[""] * 3],
        ["", _HEAD[0], "95 % interval", *_HEAD[1:], *_HEAD],
        ["", _UNITS[0], _UNITS[0], *_UNITS[1:], *_UNITS],
    ]
    for name, row in evaluation.rows.items():
        interval = _span(row.interval)
        first, *shares = _figures(row.all)
        rows.append([name, first, interval, *shares, *_figures(row.changed)])
    title, *body = rows
    widths = [max(len(row[i]) for row in body) for i in range(len(title))]
    lines = ["  ".join(_aligned(row, widths)) for row in body]
    start_of_new = sum(widths[:6]) + 2 * 6
    heading = " " * (widths[0] + 2) + title[1]
    lines.insert(0, heading.ljust(start_of_new) + title[6])
    return "\n".join(line.rstrip() for line in lines)


def cells_table(evaluation: Evaluation) -> str:
    """The scores of whole cells: means over current cells."""
    rows = [
        ["whole cells", "order", "top 100", "change", "change", "changed 100", "closer", "step",
         "time", "boundary"],
        ["", "spearman", "shared %", "pearson", "spearman", "same way %", "%", "cosine", "sign %",
         "cosine"],
    ]  # fmt: skip
    for name, row in evaluation.rows.items():
        cells, direction = row.whole.cells, row.whole.direction
        values = [
            (cells.spearman, 2), (100 * cells.overlap[100], 1), (cells.delta_pearson, 2),
            (cells.delta_spearman, 2), (100 * cells.direction[100], 1),
            (100 * direction.closer, 1), (direction.cosine, 2), (100 * direction.time_sign, 1),
            (direction.boundary_cosine, 2),
        ]  # fmt: skip
        rows.append([name, *(_number(_mean(array), digits) for array, digits in values)])
    return _lines(rows)


def population_table(evaluation: Evaluation) -> str:
    """Populations drawn from predictions against true ones, and how far predictions know."""
    rows = [
        ["populations", "energy", "wasserstein", "mmd", "calibration", "entropy vs. error"],
        ["", "distance", "distance", f"width {evaluation.bandwidth:.2f}", "error %", "spearman"],
    ]
    distances = {name: row.whole.population for name, row in evaluation.rows.items()}
    for name, found in {**distances, **evaluation.population_marks}.items():
        row = evaluation.rows.get(name)
        known = [math.nan] * 2
        if row is not None:
            known = [100 * row.calibration.expected_error, row.calibration.entropy_vs_error]
        figures = [(found.energy, 3), (found.wasserstein, 3), (found.mmd, 4), (known[0], 2),
                   (known[1], 2)]  # fmt: skip
        rows.append([name, *(_number(value, digits) for value, digits in figures)])
    return _lines(rows)


def summary(evaluation: Evaluation) -> str:
    """What was scored, and whether the model beats each baseline beyond its interval."""
    scored = (
        f"Scored: {evaluation.num_positions:,} positions of {evaluation.num_pairs:,} next cells "
        f"of {evaluation.num_cells:,} current cells, every position masked; "
        f"{evaluation.num_changed:,} of the genes are new in the next cell."
    )
    lines = [scored, interval_sentence(evaluation.units)]
    for name, gain in evaluation.advantages.items():
        parts = {"genes new in the next cell": gain.changed} if evaluation.num_changed else {}
        parts |= {"change of genes": gain.change, "direction": gain.direction}
        lines.append(sentence(name, gain.all))
        lines.append("   " + "; ".join(verdict(what, part) for what, part in parts.items()) + ".")
        if name == SHUFFLED and gain.all.verdict in {"no better", "worse"}:
            lines.append("   " + NO_INFORMATION)
    lines.append(population_sentence(evaluation))
    lines += [gap_sentence(name, gap) for name, gap in evaluation.gaps.items()]
    return "\n".join(lines)


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


def sentence(baseline: str, gain: Interval) -> str:
    """The comparison of cross-entropies in words."""
    subject = MODEL[0].upper() + MODEL[1:]
    match gain.verdict:
        case "better":
            return f"{subject} beats {baseline} by {_with_interval(gain)}."
        case "worse":
            loss = _with_interval(_negative(gain))
            return f"{subject} is no better than {baseline}, it is worse: it loses {loss}."
        case "too few":
            return (
                f"Too few cells or donors to tell whether {MODEL} beats {baseline}: it gains "
                f"{_with_interval(gain)}."
            )
        case _:
            return f"{subject} is no better than {baseline}: it gains {_with_interval(gain)}."


def population_sentence(evaluation: Evaluation) -> str:
    """Whether cells drawn from the model's predictions lie nearer to the next cells than now."""
    drawn = evaluation.rows[MODEL].whole.population.energy
    marks = {name: found.energy for name, found in evaluation.population_marks.items()}
    subject = f"Populations: cells drawn from {MODEL}'s predictions are"
    away = f"{drawn:.3f} from the true next cells in energy distance"
    beside = "; ".join(f"{name} {energy:.3f}" for name, energy in marks.items())
    is_nearer = drawn < marks[NO_CHANGE]
    word = "nearer" if is_nearer else "no better"
    word += " than the current cells as they are"
    return f"{subject} {away}, {word} ({beside})."


def gap_sentence(bound: str, gap: Interval) -> str:
    """How far the model is from what no model can be expected to beat."""
    subject = MODEL[0].upper() + MODEL[1:]
    if gap.verdict == "worse":
        return (
            f"{subject} is beyond {bound} by {_with_interval(_negative(gap))}, which should be "
            "impossible: check for leakage."
        )
    return f"{subject} is above {bound} by {_with_interval(gap)}."


def verdict(what: str, gain: Interval) -> str:
    """A comparison in few words: better and worse only where the whole interval says so."""
    if gain.verdict == "not known":
        return f"{what}: not known"
    word = "no verdict" if gain.verdict == "too few" else gain.verdict
    return f"{what}: {word}, {gain.mean:+.3f} ({_span(gain)})"


def _negative(gain: Interval) -> Interval:
    return replace(gain, mean=-gain.mean, low=-gain.high, high=-gain.low)


def _with_interval(gain: Interval) -> str:
    return f"{gain.mean:.3f} nats per position (95 % interval {_span(gain)})"


def _span(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "not known"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _lines(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)


def _figures(scores: PositionScores) -> list[str]:
    shares = (scores.top1, scores.top10, scores.top100)
    return [_number(scores.cross_entropy, 3), *(_number(100 * share, 1) for share in shares)]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    name, *figures = row
    return [name.ljust(widths[0])] + [
        figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)
    ]
