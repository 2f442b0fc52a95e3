"""Does a model find the true successors of held-out cells better than simple searches?

    python benchmarks/retrieval.py --real_data FOLDER --folder DIR [--sets NAME ...] [--seeds 3]

Models are those of `recipes.py` (`--recipe auto`, first split); with the same folder they are not
trained twice. Every cell of the test split is a candidate. Shown are means over seeds, and in how
many of them the model is better, alike or worse than each simple search, beyond a 95 % interval, in
mean reciprocal rank and in recall@5. Hubs: the number of cells that hold half of the edges to the
first five candidates, relative to chance, and the largest in-degree in units of the mean.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

from measure import report
from recipes import REAL, SIMULATED, data_of, trained

from bionemo.geneformer_t.evaluate.retrieval.rankers import DISPLACED, NEAREST, OF_LOOK_UP
from bionemo.geneformer_t.evaluate.retrieval.retrieval import CHANCE, SIMPLE, Retrieval
from bionemo.geneformer_t.evaluate.retrieval.retrieval_measures import RECALL, RECIPROCAL_RANK
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.run.evaluate import EvaluateSettings, evaluate_checkpoint

SHOWN = {
    NEAREST: "nearest",
    OF_LOOK_UP: "mean successor",
    DISPLACED: "mean step",
    CHANCE: "chance",
}
"""Row -> its heading."""
SETS = ("pancreas_e15_mouse", "ipsc_cm_human", "fetal_neocortex_human")


def retrieved(name: str, data: Path, folder: Path, seed: int) -> Retrieval:
    """Train a model, unless it is there, and let it search."""
    checkpoint, _ = trained(name, data, folder / "model", seed)
    evaluated = evaluate_checkpoint(EvaluateSettings(checkpoint=checkpoint, data_dir=data))
    found = evaluated.evaluation.retrieval
    assert found is not None
    return found


def row_of(name: str, runs: list[Retrieval]) -> dict[str, Any]:
    """Means over seeds, and counted verdicts."""
    row: dict[str, Any] = {"set": name, "cells": runs[0].num_contexts, "seeds": len(runs)}
    for measure, heading in ((RECIPROCAL_RANK, "MRR"), (RECALL, "recall@5")):
        for ranker, short in {MODEL: "model", **SHOWN}.items():
            value = mean(run.rows[ranker].intervals[measure].mean for run in runs)
            row[f"{heading} {short}"] = f"{value:.3f}"
        for ranker in SIMPLE:
            verdicts = Counter(run.gains[ranker][measure].verdict for run in runs)
            better, worse = verdicts["better"], verdicts["worse"]
            row[f"{heading} over {SHOWN[ranker]}"] = (
                f"{better}/{len(runs) - better - worse}/{worse}"
            )
    hubs = [(run.rows[MODEL].hubs, run.rows[CHANCE].hubs) for run in runs]
    row["half of edges"] = f"{mean(a.holding_half / b.holding_half for a, b in hubs):.2f}"
    row["largest"] = f"{mean(a.largest for a, _ in hubs):.1f}"
    return row


def main() -> None:
    """Search in all sets, and report."""
    names = [*REAL, *SIMULATED]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sets", nargs="*", choices=names, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    rows = []
    for name in given.sets:
        data = data_of(name, 1, given.real_data, folder)
        runs = [
            retrieved(name, data, folder / name / f"split1-seed{seed}", seed)
            for seed in range(given.seeds)
        ]
        rows.append(row_of(name, runs))
    report("retrieval", rows)


if __name__ == "__main__":
    main()
