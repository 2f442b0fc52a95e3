"""What does a time gap buy? Answers at several gaps, the time between cells, days left out.

    python benchmarks/time_gaps.py [--real_data FOLDER] [--folder DIR] [--seeds 3]

Models are trained by `--recipe auto` with the gap of each pair as an input, on simulated cells
whose pairs are up to 8 steps apart (pseudotime), and with `--real_data` on human iPSC-derived
cardiomyocytes (days). Shown are, for test cells,

* `rises`: the fraction for which the expected time of the answer, among training cells, is later
  with the longest gap of training than with the shortest, and the rank correlation with the gap;
* `gap error`: the mean absolute error of the time between two cells, beside that of the median gap
  and that of the mean gap of the 10 most similar training pairs (principal components of both
  cells), and how often the 95 % interval holds;
* `two short / one long`: energy distance between the cells that two short steps lead to and those
  of one long step, over that between two draws of the latter;
* `20 gaps / 1`: CPU seconds of 20 gaps from one pass over a context, over those of one gap.

With real data a day is left out in turn: what cells does the model expect on it, among those of the
other days, beginning with the day before? Energy distances to the day that was left out stand
beside those of the day before, the nearest day, points between pairs that optimal transport
matches, and the model that is not told the gap.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import anndata
import numpy as np
import scanpy as sc
from jaxtyping import Float, Int
from measure import report
from numpy import ndarray
from recipes import trained
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from bionemo.geneformer_t import tl
from bionemo.geneformer_t.data.gap_pairs import GapPairs, gap_pairs
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.training_splits import TrainingSplits
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.gap_between import gaps_between
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating, settings_of
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.simulate import simulate

GAPS: Mapping[str, Mapping[str, Any]] = {
    "simulated": {"time_gap_key": "pseudotime", "successor_steps": 8, "next_cells_per_cell": 4},
    "ipsc_cm_human": {"time_key": "day", "time_gap_key": "day", "successor_steps": 3,
                      "next_cells_per_cell": 4},
}  # fmt: skip
LEFT_OUT = ("D6", "D10", "D30")
NUM_CELLS = 800
NEIGHBORS = 10
DRAWN = 200
AXES = 20


def energy_distance(one: Float[ndarray, "cell axis"], other: Float[ndarray, "cell axis"]) -> float:
    """Between two samples, without correction for their size."""
    within = cdist(one, one).mean() + cdist(other, other).mean()
    return float(2 * cdist(one, other).mean() - within)


def points_of(
    fitted: anndata.AnnData, *others: anndata.AnnData
) -> list[Float[ndarray, "cell axis"]]:
    """Principal components of log counts, fitted on the first."""
    joined = anndata.concat([fitted, *others], index_unique="-")
    sc.pp.normalize_total(joined, target_sum=1e4)
    sc.pp.log1p(joined)
    values = np.asarray(joined.X.todense() if hasattr(joined.X, "todense") else joined.X)
    first = values[: fitted.n_obs]
    center = first.mean(axis=0)
    axes = np.linalg.svd(first - center, full_matrices=False)[2][:AXES]
    points = (values - center) @ axes.T
    return np.split(points, np.cumsum([fitted.n_obs, *(one.n_obs for one in others)])[:-1])


def by_similar_pairs(
    training: GapPairs, judged: GapPairs, cells: Mapping[str, Float[ndarray, "cell axis"]]
) -> Float[ndarray, " pair"]:
    """Mean gap of the most similar training pairs."""
    joined = [
        np.concatenate([cells[name][pairs.cells], cells[name][pairs.later_cells]], axis=1)
        for name, pairs in (("train", training), ("test", judged))
    ]
    nearest = np.argsort(cdist(joined[1], joined[0]), axis=1)[:, :NEIGHBORS]
    found: ndarray = training.gaps[nearest].mean(axis=1)
    return found


def split_cells(data: Path, name: str) -> anndata.AnnData:
    """The cells of a split."""
    return anndata.read_h5ad(data / name / "data.h5ad")


def drawn(
    rows: Float[ndarray, "cell candidate"], rng: np.random.Generator
) -> Int[ndarray, " drawn"]:
    """Candidates drawn by the mean of some rows of a transition matrix."""
    shares = rows.mean(axis=0)
    return rng.choice(len(shares), DRAWN, p=shares / shares.sum())


def gap_seconds(model: NextCellModel, pairs: GapPairs) -> float:
    """CPU seconds of 20 gaps from one pass over a context, over those of one gap."""
    seconds = []
    contexts = pairs.current.take(np.arange(min(16, len(pairs))))
    with evaluating(model):
        for number in (1, 20):
            gaps = np.geomspace(*(model.required_gaps().quantiles[[0, -1]]), number)
            model.gap_distributions(contexts, 10, gaps)
            started = time.process_time()
            for _ in range(5):
                model.gap_distributions(contexts, 10, gaps)
            seconds.append(time.process_time() - started)
    return seconds[1] / seconds[0]


def measured(model: NextCellModel, data: Path, key: str, seed: int) -> dict[str, float]:
    """All measures of a model."""
    settings, trained_gaps = settings_of(model), model.required_gaps()
    splits = TrainingSplits(data, settings.for_scoring(), token_cache=False)
    assert isinstance(splits.test, TemporalGeneformerDataset)
    judged = gap_pairs(splits.test, settings, 300, seed)
    training = gap_pairs(splits.train, settings, 5_000, seed + 1)
    cells = {name: split_cells(data, name) for name in ("train", "test")}
    points = dict(zip(cells, points_of(*cells.values()), strict=True))
    found = gaps_between(model, judged.current, judged.later)
    low, high = found.quantile(0.025), found.quantile(0.975)
    times = {name: _times(one, key) for name, one in cells.items()}
    early = cells["test"][times["test"] + trained_gaps.longest <= times["train"].max()].copy()
    gaps = np.unique(np.quantile(training.gaps, np.linspace(0, 1, 6), method="inverted_cdf"))
    expected = np.array(
        [
            tl.transitions(early, model, cells["train"], time_gap=gap) @ times["train"]
            for gap in gaps
        ]
    )
    order = np.argsort(np.argsort(expected, axis=0), axis=0)
    steps = np.arange(len(gaps))
    rng = np.random.default_rng(seed)
    half = float(np.sqrt(trained_gaps.shortest * trained_gaps.longest))
    once = tl.transitions(early, model, cells["train"], time_gap=half)
    again = tl.transitions(cells["train"], model, cells["train"], time_gap=half)
    long = tl.transitions(early, model, cells["train"], time_gap=2 * half)
    ways = [drawn(np.asarray(rows.todense()), rng) for rows in (once @ again, long, long)]
    two, one, other = (points["train"][rows] for rows in ways)
    return {
        "cells": early.n_obs,
        "rises": float((expected[-1] > expected[0]).mean()),
        "correlation": mean(np.corrcoef(steps, mine)[0, 1] for mine in order.T),
        "gap error": _error(found.median, judged),
        "of the median": _error(np.full(len(judged), np.median(training.gaps)), judged),
        "of similar pairs": _error(by_similar_pairs(training, judged, points), judged),
        "holds": float(((low <= judged.gaps * 1.0001) & (judged.gaps <= high * 1.0001)).mean()),
        "two short / one long": energy_distance(two, one) / energy_distance(one, other),
        "20 gaps / 1": gap_seconds(model, judged),
    }


def _error(guessed: Float[ndarray, " pair"], judged: GapPairs) -> float:
    return float(np.abs(guessed - judged.gaps).mean())


def _times(cells: anndata.AnnData, key: str) -> Float[ndarray, " cell"]:
    labels = cells.obs[key].astype(str).str.lstrip("D")
    return labels.to_numpy(dtype=np.float64)


def day_left_out(day: str, real_data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Energy distances to the cells of a day that training never saw."""
    cells = anndata.read_h5ad(real_data / "ipsc_cm_human.h5ad")
    labels = cells.obs["day"].astype(str)
    kept, missing = cells[labels != day].copy(), cells[labels == day].copy()
    where = folder / f"without-{day}-{seed}"
    where.mkdir(parents=True, exist_ok=True)
    kept.write_h5ad(where / "cells.h5ad")
    data = prepare(
        input=where / "cells.h5ad", output_dir=where / "data", pictures=False, time_key="day",
        val_fraction=0.15, test_fraction=0.05, seed=seed,
    )  # fmt: skip
    how = {key: value for key, value in GAPS["ipsc_cm_human"].items() if key != "time_key"}
    model = load_model(trained("ipsc_cm_human", data, where / "run", seed, **how)[0])
    times = _times(kept, "day")
    wanted = float(day.lstrip("D"))
    before, after = times[times < wanted].max(), times[times > wanted].min()
    start = kept[times == before].copy()
    points, of_missing = points_of(kept, missing)
    rng = np.random.default_rng(seed)

    def retrieved(**given: Any) -> float:
        rows = tl.transitions(start, model, kept, **given)
        return energy_distance(points[drawn(np.asarray(rows.todense()), rng)], of_missing)

    first, last = points[times == before], points[times == after]
    some = rng.integers(len(first), size=DRAWN), rng.integers(len(last), size=DRAWN)
    pairs = linear_sum_assignment(cdist(first[some[0]], last[some[1]]) ** 2)
    share = (wanted - before) / (after - before)
    between = (1 - share) * first[some[0]][pairs[0]] + share * last[some[1]][pairs[1]]
    nearest = before if wanted - before <= after - wanted else after
    halves = np.array_split(rng.permutation(len(of_missing)), 2)
    return {
        "day": day,
        "cells": missing.n_obs,
        "seed": seed,
        "told the gap": retrieved(time_gap=wanted - before),
        "not told": retrieved(),
        "the day before": energy_distance(first, of_missing),
        "the nearest day": energy_distance(points[times == nearest], of_missing),
        "transport": energy_distance(between, of_missing),
        "halves of the day": energy_distance(*(of_missing[half] for half in halves)),
    }


def main() -> None:
    """Train, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--real_data", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    rows: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    for name, how in GAPS.items():
        if name != "simulated" and given.real_data is None:
            continue
        for seed in range(given.seeds):
            where = folder / f"{name}-{seed}"
            settings = dict(how)
            key = settings.pop("time_key", None)
            if key is None:
                data = simulate(output_dir=where / "data", seed=seed, num_cells=NUM_CELLS)
            else:
                data = prepare(
                    input=given.real_data / f"{name}.h5ad", output_dir=where / "data",
                    pictures=False, time_key=key, seed=seed,
                )  # fmt: skip
            model = load_model(trained(name, data, where / "run", seed, **settings)[0])
            row = measured(model, data, settings["time_gap_key"], seed)
            rows.append({"set": name, "seed": seed, **_rounded(row)})
    if given.real_data is not None:
        days = [
            _rounded(day_left_out(day, given.real_data, folder, seed))
            for day in LEFT_OUT
            for seed in range(given.seeds)
        ]
    report("time_gaps", rows, days=days)
    print()
    report("time_gaps-days", days, write=False)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}


if __name__ == "__main__":
    main()
