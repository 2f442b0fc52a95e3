"""Does `--recipe auto` win? Four real sets and three simulations, several splits and seeds.

    python benchmarks/recipes.py --real_data FOLDER --folder DIR [--sets NAME ...] [--splits 2]
                                 [--seeds 3] [--former NAME ...]

One command prepares each set for each split, the recipe trains on it without a setting of its own,
and the test cells are scored as `geneformer-t evaluate` scores them. Beside each model another one
learns from shuffled successors. A run that is in DIR already is not repeated, so that a set can be
measured by a process of its own, and the table is that of all runs in DIR.

A set is won where the model is better than the strongest of its baselines, beyond a 95 % interval,
in more than half of the runs, and worse in none. Where it learned from next cells that were drawn
anew, a look-up of drawn cells is among the baselines. CPU seconds are those of training, beside 200
steps with the settings that the recipe `small` had before.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from measure import report

from bionemo.geneformer_t.evaluate.by_cluster import best_baseline
from bionemo.geneformer_t.evaluate.intervals import Interval, advantage
from bionemo.geneformer_t.evaluate.predictions import each_prediction
from bionemo.geneformer_t.evaluate.row_names import MODEL, SHUFFLED
from bionemo.geneformer_t.evaluate.scores.token_scores import TokenSums, token_sums
from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.report.evaluated import Evaluated
from bionemo.geneformer_t.run.evaluate import EvaluateSettings, evaluate_checkpoint
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

LOOK_UP, FREQUENCIES = "successors of similar cells", "gene frequencies at each rank"
REAL: Mapping[str, Mapping[str, Any]] = {
    "pancreas_e15_mouse": {
        "method": ("pseudotime",),
        "root": "Ductal",
        "cluster_key": "cluster",
    },
    "hematopoiesis_clones_mouse": {"time_key": "time_info", "cluster_key": "state_info"},
    "ipsc_cm_human": {"time_key": "day"},
    "fetal_neocortex_human": {
        "time_key": "cell_type",
        "time_order": ("AP1", "AP2", "BP1", "BP2", "N1", "N2", "N3"),
    },
}
"""File -> how it is prepared."""
SIMULATED: Mapping[str, Mapping[str, Any]] = {
    "simulated_250": {"num_cells": 250},
    "simulated_800": {"num_cells": 800},
    "simulated_2700": {"num_cells": 2700},
}
"""Name -> settings of `simulate`."""
GRAPHS = {"pancreas_e15_mouse": "pseudotime_neighbors"}
FORMER = {
    "recipe": "small", "context_dropout": 0.6, "learning_rate": 1e-3, "gene_lr_fraction": 1.0,
    "num_epochs": 1000, "max_steps": 200, "dropout_prob": 0.1,
}  # fmt: skip
"""What `small` was, for the time that it took."""
CHOSEN = ("resampling_neighbors", "learning_rate", "num_epochs", "max_steps")
"""Settings that the recipe may choose by the data."""
TIMED: Mapping[str, float] = {"ipsc_cm_human": 0.5, "simulated_250": 0.5, "simulated_2700": 1.0}
"""Sets on which the former recipe is timed, and the most of its CPU seconds that may be taken."""
FEWEST_LISTS = 0.8
"""Of the look-up's distinct lists, or of its mutual information."""


def data_of(name: str, split: int, real_data: Path, folder: Path) -> Path:
    """The prepared data of a set, its cells dealt to splits anew for each number."""
    where = folder / name / f"split{split}"
    if name in SIMULATED:
        return simulate(output_dir=where, seed=split, **SIMULATED[name])
    source = real_data / f"{name}.h5ad"
    return prepare(input=source, output_dir=where, pictures=False, seed=split, **REAL[name])


def trained(name: str, data: Path, run: Path, seed: int, **settings: Any) -> tuple[Path, float]:
    """A checkpoint, and the CPU seconds that it took; one that is there is not trained again."""
    done = run / "trained.json"
    if not done.exists():
        started = time.process_time()
        checkpoint = train_temporal_geneformer(
            **{
                "recipe": "auto",
                "data_dir": data,
                "output_dir": run,
                "neighbor_key": GRAPHS.get(name, "next_cell_ids"),
                "seed": seed,
                "num_workers": 0,
                "final_evaluation": False,
                **settings,
            }
        )
        seconds = time.process_time() - started
        write_text(done, json.dumps([checkpoint.relative_to(run).as_posix(), seconds]))
    path, seconds = json.loads(done.read_text(encoding="utf-8"))
    return run / path, seconds


def network_alone(checkpoint: Path, evaluated: Evaluated) -> TokenSums:
    """The scores of the model without its memory."""
    model = load_model(checkpoint)
    model.memory = None
    predicted = each_prediction(model_predictor(model), evaluated.pairs)
    return TokenSums.join([token_sums(target, log_probs) for target, log_probs in predicted])


def one_run(name: str, data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Everything that the table needs of one split and seed."""
    checkpoint, seconds = trained(name, data, folder / "model", seed)
    shuffled, _ = trained(name, data, folder / "shuffled", seed, shuffle_successors=True)
    evaluated = evaluate_checkpoint(
        EvaluateSettings(checkpoint=checkpoint, data_dir=data, shuffled_checkpoint=shuffled)
    )
    evaluation = evaluated.evaluation
    rows, units = evaluation.rows, evaluation.units
    alone = network_alone(checkpoint, evaluated)
    strongest = best_baseline(evaluation)
    config = yaml.safe_load((folder / "model" / "config.yaml").read_text(encoding="utf-8"))
    return {
        "cells": evaluation.num_cells,
        "chosen": {key: config[key] for key in CHOSEN},
        "seconds": round(seconds, 1),
        "nats": {
            **{row: round(rows[row].all.cross_entropy, 4) for row in rows},
            "the network alone": round(alone.all.scores.cross_entropy, 4),
        },
        "strongest": strongest,
        "over strongest": _plain(evaluation.advantages[strongest].all),
        "over look-up": _plain(evaluation.advantages[LOOK_UP].all),
        "network over look-up": _plain(advantage(alone.all, rows[LOOK_UP].sums.all, units)),
        "over shuffled": _plain(evaluation.advantages[SHUFFLED].all),
        "look-up over frequencies": _plain(
            advantage(rows[LOOK_UP].sums.all, rows[FREQUENCIES].sums.all, units)
        ),
        "lists": [rows[row].variety.distinct_lists for row in (MODEL, LOOK_UP)],
        "information": [round(rows[row].variety.information, 4) for row in (MODEL, LOOK_UP)],
    }


def _plain(interval: Interval) -> dict[str, Any]:
    values = (interval.mean, interval.low, interval.high)
    finite = [round(value, 4) if math.isfinite(value) else None for value in values]
    return {"interval": finite, "verdict": interval.verdict}


def counted(runs: list[dict[str, Any]], measure: str) -> tuple[int, int, int]:
    """In how many runs the measure is better, alike (or cannot be told) and worse."""
    found = [run[measure]["verdict"] for run in runs]
    better, worse = found.count("better"), found.count("worse")
    return better, len(found) - better - worse, worse


def variety(run: dict[str, Any]) -> float:
    """Distinct lists or mutual information beside the look-up's, whichever is more."""
    pairs = (run["lists"], run["information"])
    return max((mine / theirs for mine, theirs in pairs if theirs), default=1.0)


def rows_of(found: Mapping[str, list[dict[str, Any]]], former: Mapping[str, float]) -> list[Any]:
    """One row for each set."""
    table = []
    for name, runs in found.items():
        over, over_look_up, alone, shuffled = (
            "/".join(map(str, counted(runs, measure)))
            for measure in (
                "over strongest",
                "over look-up",
                "network over look-up",
                "over shuffled",
            )
        )
        nats = {
            row: mean(run["nats"][row] for run in runs)
            for row in (MODEL, "the network alone", LOOK_UP)
        }
        table.append(
            {
                "set": name,
                "runs": len(runs),
                "test cells": "-".join(str(n) for n in sorted({run["cells"] for run in runs})),
                "model": f"{nats[MODEL]:.4f}",
                "network": f"{nats['the network alone']:.4f}",
                "look-up": f"{nats[LOOK_UP]:.4f}",
                "gain": f"{mean(run['over strongest']['interval'][0] for run in runs):+.4f}",
                "over strongest": over,
                "over look-up": over_look_up,
                "network over look-up": alone,
                "over shuffled": shuffled,
                "look-up over frequencies": "/".join(
                    map(str, counted(runs, "look-up over frequencies"))
                ),
                "variety": f"{min(map(variety, runs)):.2f}",
                "CPU s": f"{mean(run['seconds'] for run in runs):.0f}",
                "of former": f"{mean(run['seconds'] for run in runs) / former[name]:.2f}"
                if name in former
                else "-",
            }
        )
    return table


def targets(
    found: Mapping[str, list[dict[str, Any]]], former: Mapping[str, float]
) -> list[dict[str, Any]]:
    """What was to be reached, and what was."""

    def sets(is_reached: Callable[[list[dict[str, Any]]], bool]) -> list[str]:
        return [name for name, runs in found.items() if is_reached(runs)]

    def mostly_better(runs: list[dict[str, Any]], measure: str) -> bool:
        better, _, worse = counted(runs, measure)
        return 2 * better > len(runs) and not worse

    won = sets(lambda runs: mostly_better(runs, "over strongest"))
    measured = sets(lambda runs: mostly_better(runs, "over look-up"))
    worse = sets(lambda runs: counted(runs, "over strongest")[2] > 0)
    alone = sets(lambda runs: counted(runs, "network over look-up")[2] == 0)
    telling = sets(lambda runs: mostly_better(runs, "look-up over frequencies"))
    graph = [name for name in telling if mostly_better(found[name], "over shuffled")]
    varied = sets(lambda runs: all(variety(run) >= FEWEST_LISTS for run in runs))
    total = len(found)
    unclear = sum(
        run["network over look-up"]["verdict"] not in {"better", "worse", "no better"}
        for runs in found.values()
        for run in runs
    )
    table = [
        ("better than the strongest baseline", ">= 5 of 7", f"{len(won)} of {total}"),
        ("better than the look-up of measured cells", "-", f"{len(measured)} of {total}"),
        ("worse than the strongest in a run", "none", ", ".join(worse) or "none"),
        (
            "network alone not worse than the look-up",
            ">= 5 of 7",
            f"{len(alone)} of {total} ({unclear} runs had too few cells to tell)",
        ),
        (
            "better than on shuffled successors, where the look-up beats frequencies",
            f">= 5 of 7 (here of {len(telling)})",
            f"{len(graph)}",
        ),
        (f"variety at least {FEWEST_LISTS} of the look-up's", "all", f"{len(varied)} of {total}"),
    ]
    for name, most in TIMED.items():
        if name in former and name in found:
            ratio = mean(run["seconds"] for run in found[name]) / former[name]
            table.append((f"CPU seconds on {name}, of the former", f"<= {most}", f"{ratio:.2f}"))
    return [dict(zip(("what", "target", "reached"), line, strict=True)) for line in table]


def main() -> None:
    """Measure what is not there yet, and report all that is."""
    names = [*REAL, *SIMULATED]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--sets", nargs="*", choices=names, default=names)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--former", nargs="*", choices=names, default=list(TIMED))
    parser.add_argument("--no_result", action="store_true", help="write no file of results")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    for name in given.sets:
        for split in range(1, given.splits + 1):
            data = data_of(name, split, given.real_data, folder)
            for seed in range(given.seeds):
                run = folder / name / f"split{split}-seed{seed}"
                if not (run / "run.json").exists():
                    write_text(run / "run.json", json.dumps(one_run(name, data, run, seed)))
        if name in given.former:
            trained(name, folder / name / "split1", folder / name / "former", 0, **FORMER)
    found, former = {}, {}
    for name in names:
        runs = [json.loads(file.read_text()) for file in sorted((folder / name).glob("*/run.json"))]
        if runs:
            found[name] = runs
        if (folder / name / "former" / "trained.json").exists():
            former[name] = trained(name, folder, folder / name / "former", 0)[1]
    print("better/alike/worse: in how many runs, beyond a 95 % interval; nats per position\n")
    shown = rows_of(found, former)
    reached = targets(found, former)
    report("recipes-targets", reached, write=not given.no_result, sets=shown, runs=found)
    print()
    report("recipes", shown, write=False)


if __name__ == "__main__":
    main()
