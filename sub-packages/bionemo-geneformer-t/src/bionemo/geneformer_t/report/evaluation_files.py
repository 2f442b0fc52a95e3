"""evaluation.json: scores in a file, matched to a checkpoint by content, not by name or date.

The file has fingerprints of the model (weights, vocabulary, memory), of the cells and of their
graph, and the split and the settings. A reader of scores states which model, cells and graph it
expects, and gets a description of the difference if the scores are for others.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.dictionaries import read_json

if TYPE_CHECKING:
    from bionemo.geneformer_t.evaluate.evaluation import Evaluation
    from bionemo.geneformer_t.evaluate.scores.calibration import Calibration
    from bionemo.geneformer_t.evaluate.scores.population_reference import PopulationDistance

EVALUATION = "evaluation.json"
SCORED = "scored"
_SHOWN = 12
_WORDS = {
    "model": "another model", "cells": "other cells", "graph": "another graph of successors",
    "control": "another control",
}  # fmt: skip
"""Fingerprint -> what a different one means."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What scores belong to."""

    model: str
    """Fingerprint of weights, sizes, vocabulary and memory."""
    split: str | None = None
    """Name of the folder of the cells; None where any will do."""
    cells: str | None = None
    """Fingerprint of names and counts of the cells; None where any will do."""
    graph: str | None = None
    """Fingerprint of their successors; None where any will do."""
    control: str | None = None
    """Fingerprint of the model of shuffled successors beside it; None where any or none will do."""

    def to_dict(self) -> dict[str, str | None]:
        """Plain values, for `evaluation.json`."""
        return asdict(self)


def read_scores(path: Path) -> Mapping[str, Any]:
    """What `evaluation.json` holds.

    Raises:
        ValueError: It is damaged, or holds no scores.
    """
    from bionemo.geneformer_t.report.model_card import scores_table

    values: Mapping[str, Any] = read_json(path)
    try:
        scores_table(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return values


def difference(values: Mapping[str, Any], wanted: Scored) -> str | None:
    """Why scores are not those that are wanted, in words; None where they are.

    Args:
        values: What `evaluation.json` holds.
        wanted: What they must belong to.
    """
    found = values.get(SCORED)
    if not isinstance(found, Mapping) or not isinstance(found.get("model"), str):
        return (
            "it does not say which weights were scored (an earlier version wrote it), so whose "
            "scores they are is not known"
        )
    reasons = []
    if wanted.split is not None and found.get("split") != wanted.split:
        reasons.append(f"it scores split {found.get('split')!r}, not {wanted.split!r}")
    for name, words in _WORDS.items():
        mine, theirs = getattr(wanted, name), found.get(name)
        if mine is not None and theirs != mine:
            shown = f"{theirs[:_SHOWN]}, not {mine[:_SHOWN]}" if isinstance(theirs, str) else "none"
            reasons.append(f"it scores {words} (fingerprint {shown})")
    return " and ".join(reasons) or None


def scores_beside(folder: Path, wanted: Scored) -> tuple[Mapping[str, Any] | None, str]:
    """The scores in the folder of a run if they are those that are wanted, and a sentence on them.

    The sentence is empty where there is no file.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return None, ""
    try:
        values = read_scores(path)
    except ValueError as error:
        return None, f"{error}; it is not used"
    reason = difference(values, wanted)
    if reason is not None:
        return None, f"{path} is not used: {reason}"
    return values, str(path)


def score_values(evaluation: "Evaluation") -> dict[str, Any]:
    """The scores as plain values, means over current cells; None if nothing could be scored."""
    from bionemo.geneformer_t.evaluate.dependence_tables import answer_sentences, null_sentence
    from bionemo.geneformer_t.evaluate.headline import Headline, graph_lesson
    from bionemo.geneformer_t.evaluate.population_text import population_sentence
    from bionemo.geneformer_t.evaluate.retrieval.retrieval_text import retrieval_values
    from bionemo.geneformer_t.evaluate.scores.expression_change import known_mean
    from bionemo.geneformer_t.evaluate.text import interval_sentence

    rows = {
        name: {
            "all": asdict(row.all),
            "changed": asdict(row.changed),
            "cross_entropy_interval": asdict(row.interval),
            "cells": _means(asdict(row.whole.cells)),
            "direction": _means(asdict(row.whole.direction)),
            "groups": {
                **_means(asdict(row.whole.groups)),
                "groups": list(row.whole.groups.groups),
                "left_out": list(row.whole.groups.left_out),
            },
            "excess_over_null": {
                "change": asdict(row.change),
                "direction": asdict(row.direction),
                "change_by_rank": known_mean(row.whole.excess_by_rank),
                "across_clusters": known_mean(row.whole.excess_across_clusters),
            },
            "variety": {
                **asdict(row.variety),
                "fraction_between": row.variety.fraction_between,
                "right_information": asdict(row.right_information),
            },
            "population": _distances(row.whole.population),
            "calibration": _calibration(row.calibration),
        }
        for name, row in evaluation.rows.items()
    }
    populations = evaluation.populations
    conclusion, details = population_sentence(populations)
    values = {
        "unit": "nats per position; fractions from 0 to 1",
        "intervals": interval_sentence(evaluation.units),
        "verdict": Headline.of(evaluation).to_dict(),
        "graph_taught": graph_lesson(evaluation),
        "answers": " ".join(answer_sentences(evaluation)),
        "null_of_change": null_sentence(evaluation),
        "linked_partners": evaluation.linked_partners,
        "true_variety": {
            **asdict(evaluation.true_variety),
            "fraction_between": evaluation.true_variety.fraction_between,
        },
        "rows": rows,
        "advantages": {name: asdict(gain) for name, gain in evaluation.advantages.items()},
        "exported_advantages": {name: asdict(gain) for name, gain in evaluation.exported.items()},
        "gaps": {name: asdict(gap) for name, gap in evaluation.gaps.items()},
        "populations": {
            "marks": {n: _distances(found) for n, found in populations.marks.items()},
            "gains": {n: _distances(found) for n, found in populations.gains.items()},
            "power": _distances(populations.power),
            "sentences": [conclusion, *details],
            "num_cells": populations.num_cells,
            "num_axes": populations.num_axes,
            "mmd_bandwidth": populations.bandwidth,
        },
        "retrieval": None
        if evaluation.retrieval is None
        else retrieval_values(evaluation.retrieval),
        "num_donors": evaluation.units.num_donors,
        "effective_donors": evaluation.units.effective_donors,
        "num_cells": evaluation.num_cells,
        "num_next_cells": evaluation.units.num_next_cells,
        "effective_current_cells": evaluation.units.effective_cells[0],
        "effective_next_cells": evaluation.units.effective_cells[1],
        "num_pairs": evaluation.num_pairs,
        "num_positions": evaluation.num_positions,
        "num_changed": evaluation.num_changed,
    }
    plain: dict[str, Any] = _without_nan(values)
    return plain


def _distances(found: "PopulationDistance") -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in found.intervals.items()}


def _means(measures: dict[Any, Any]) -> dict[str, Any]:
    """Means over the finite values of each array; other values are left out."""
    import numpy as np

    from bionemo.geneformer_t.evaluate.scores.expression_change import known_mean

    found: dict[str, Any] = {}
    for name, value in measures.items():
        if isinstance(value, dict):
            found[str(name)] = _means(value)
        elif isinstance(value, np.ndarray):
            found[str(name)] = known_mean(value)
    return found


def _calibration(found: "Calibration") -> dict[str, Any]:
    return {
        "expected_error": found.expected_error,
        "entropy_vs_error": found.entropy_vs_error,
        "claimed": found.claimed.tolist(),
        "right": found.right.tolist(),
        "positions": found.positions.tolist(),
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
