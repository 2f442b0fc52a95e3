"""Scores in files, matched to a checkpoint by content and never by a name or a date.

`evaluation.json` says what was scored: fingerprints of the model (weights, vocabulary, memory), of
the cells and of their graph, beside the split and the settings. Who reads scores says whose they
must be, and gets the difference in words where they are others.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bionemo.geneformer_t.dictionaries import read_json

EVALUATION = "evaluation.json"
SCORED = "scored"
_SHOWN = 12
_WORDS = {"model": "another model", "cells": "other cells", "graph": "another graph of successors"}
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
