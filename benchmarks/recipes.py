"""Does `--recipe small` win? Three real sets, several seeds, beside every baseline.

    python benchmarks/recipes.py --real_data FOLDER [--seeds 3] [--sets NAME ...] [--folder DIR]

One command prepares each set (one split by cell, the same for all seeds), the recipe trains on it
without a setting of its own, and the test cells are scored as `geneformer-t evaluate` scores them.
With the first seed another model learns from shuffled successors and stands beside the first.
For each baseline and measure the table says in how many seeds the model is better beyond its 95 %
interval, in how many it is not distinguishable, and in how many it is worse.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from measure import report

from bionemo.geneformer_t.evaluate.evaluation import Advantage, Evaluation
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

SETS: Mapping[str, Mapping[str, Any]] = {
    "pancreas_e15_mouse": {
        "method": ("pseudotime",),
        "root": "Ductal",
        "cluster_key": "cluster",
    },
    "ipsc_cm_human": {"time_key": "day"},
    "fetal_neocortex_human": {
        "time_key": "cell_type",
        "time_order": ("AP1", "AP2", "BP1", "BP2", "N1", "N2", "N3"),
    },
}
"""File -> how it is prepared."""
GRAPHS = {"pancreas_e15_mouse": "pseudotime_neighbors"}
MEASURES = {"all": "all genes", "changed": "new genes", "change": "change", "direction": "step"}
"""Fields of `Advantage` and their titles: nats per position, nats on genes that the current cell
lacks, correlation of the change, cosine of the step."""


def trained(name: str, data: Path, run: Path, seed: int, **settings: Any) -> Path:
    """A checkpoint of the recipe."""
    return train_temporal_geneformer(
        recipe="small",
        data_dir=data,
        output_dir=run,
        neighbor_key=GRAPHS.get(name, "next_cell_ids"),
        seed=seed,
        num_workers=0,
        final_evaluation=False,
        **settings,
    )


def outcome(interval: Interval) -> str:
    """`better`, `worse`, or `alike` where the interval holds 0 or rests on too little to tell."""
    return interval.verdict if interval.verdict in {"better", "worse"} else "alike"


def counted(gains: list[Advantage], measure: str) -> str:
    """In how many seeds the model was better, alike and worse, for example `2/1/0`."""
    found = [outcome(getattr(gain, measure)) for gain in gains]
    return "/".join(str(found.count(word)) for word in ("better", "alike", "worse"))


def rows(name: str, found: list[Evaluation]) -> list[dict[str, Any]]:
    """One set: every predictor's mean cross-entropy, and what the model gains over it."""
    lines: list[dict[str, Any]] = []
    for predictor in found[0].rows:
        nats = mean(one.rows[predictor].all.cross_entropy for one in found if predictor in one.rows)
        line = {"set": name, "predictor": predictor, "nats": round(nats, 4)}
        gains = [one.advantages[predictor] for one in found if predictor in one.advantages]
        line["gain"] = round(mean(one.all.mean for one in gains), 4) if gains else 0.0
        for measure, title in MEASURES.items():
            line[title] = counted(gains, measure) if gains else "-"
        lines.append(line)
    return lines


def values(found: list[Evaluation], seconds: list[float]) -> dict[str, Any]:
    """One set, for the JSON line."""
    return {
        "cells": found[0].num_cells,
        "training_seconds": [round(value) for value in seconds],
        "cross_entropy": {
            row: [round(one.rows[row].all.cross_entropy, 4) for one in found if row in one.rows]
            for row in found[0].rows
        },
        "advantages": {
            row: {
                measure: [
                    [round(x, 4) for x in (i.mean, i.low, i.high)]
                    for i in (
                        getattr(one.advantages[row], measure)
                        for one in found
                        if row in one.advantages
                    )
                ]
                for measure in MEASURES
            }
            for row in found[0].advantages
        },
    }


def main() -> None:
    """Run every set and seed, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    table: list[dict[str, Any]] = []
    details: dict[str, Any] = {}
    for name in given.sets:
        data = prepare(
            input=given.real_data / f"{name}.h5ad",
            output_dir=folder / name / "data",
            pictures=False,
            **SETS[name],
        )
        found, seconds = [], []
        for seed in range(given.seeds):
            started = time.perf_counter()
            checkpoint = trained(name, data, folder / name / f"seed{seed}", seed)
            seconds.append(time.perf_counter() - started)
            shuffled = None
            if seed == 0:
                shuffled = trained(
                    name, data, folder / name / "shuffled", seed, shuffle_successors=True
                )
            found.append(
                evaluate(checkpoint=checkpoint, data_dir=data, shuffled_checkpoint=shuffled)
            )
        table += rows(name, found)
        details[name] = values(found, seconds)
    print("in how many seeds the model is better/alike/worse beyond its 95 % interval\n")
    part = "" if len(details) == len(SETS) else "-" + "-".join(details)
    shown = [{**row, "nats": f"{row['nats']:.4f}", "gain": f"{row['gain']:+.4f}"} for row in table]
    report(f"recipes{part}", table, shown, recipe="small", sets=details)


if __name__ == "__main__":
    main()
