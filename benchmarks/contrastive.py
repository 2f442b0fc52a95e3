"""Does the contrastive term find more of the true successors, and what does the loss pay for it?

    python benchmarks/contrastive.py DATA_DIR [--weights 0 0.1] [--seeds 0 1 2] [--neighbor_key KEY]

For each weight and seed, `--recipe auto` is trained without its memory. On the test cells: the mean
cross-entropy, and where the true successors are among all test cells, in the order of
`fates.candidate_scores`: the mean reciprocal rank of the first one (MRR), and the share of them,
or of five, among the first five (recall@5). Runs that are in `--folder` are not trained again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from measure import report
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.folder import TEST, TRAIN
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.predictions import each_prediction
from bionemo.geneformer_t.evaluate.scores.token_scores import TokenSums, token_sums
from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, evaluating
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

REFERENCES = 200
"""Training cells whose mean likelihood a score is relative to."""
FIRST = 5


def trained(run: Path, **settings: Any) -> tuple[Path, float]:
    """A checkpoint and the CPU seconds that it took; one that is there is not trained again."""
    done = run / "trained.json"
    if not done.exists():
        started = time.process_time()
        checkpoint = train_temporal_geneformer(
            recipe="auto",
            successor_memory=False,
            output_dir=run,
            num_workers=0,
            final_evaluation=False,
            **settings,
        )
        seconds = time.process_time() - started
        write_text(done, json.dumps([checkpoint.relative_to(run).as_posix(), seconds]))
    path, seconds = json.loads(done.read_text(encoding="utf-8"))
    return run / path, seconds


def encoded(dataset: TemporalGeneformerDataset, cells: ndarray) -> Ragged:
    """The genes of cells in rank order, as many as the model reads."""
    most = dataset.settings.genes_per_cell
    return Ragged.of([cell[:most] for cell in dataset.tokens.rows_of(cells)])


def retrieved(
    model: NextCellModel, train: TemporalGeneformerDataset, test: TemporalGeneformerDataset
) -> Float[ndarray, "cell 2"]:
    """Reciprocal rank of the first true successor, and recall, of each current test cell."""
    has_genes = np.flatnonzero(np.asarray(test.tokens.num_genes) > 0)
    rng = np.random.default_rng(0)
    chosen = rng.choice(train.cells, min(REFERENCES, len(train.cells)), replace=False)
    cells = encoded(test, has_genes)
    with evaluating(model):
        found = candidate_scores(
            model, cells, cells, references=encoded(train, np.sort(chosen)), exclude_self=True
        )
    rows = []
    for cell, order in zip(has_genes.tolist(), has_genes[found.candidates], strict=True):
        successors, _ = test.graph.successors(cell)
        if len(successors):
            places = np.flatnonzero(np.isin(order, successors))
            share = (places < FIRST).sum() / min(FIRST, len(successors))
            rows.append([1 / (1 + places[0]), share])
    return np.array(rows)


def cross_entropy(model: NextCellModel, test: TemporalGeneformerDataset) -> float:
    """Nats per scored position of the test cells."""
    predicted = each_prediction(model_predictor(model), CellPairs.from_dataset(test))
    sums = TokenSums.join([token_sums(target, log_probs) for target, log_probs in predicted])
    return float(sums.all.scores.cross_entropy)


def main() -> None:
    """Train and score every weight with every seed, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--neighbor_key", default=PairSettings.neighbor_key)
    parser.add_argument("--folder", type=Path, default=Path("contrastive"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for seed in given.seeds:
        for weight in given.weights:
            checkpoint, seconds = trained(
                given.folder / f"weight{weight:g}-seed{seed}",
                data_dir=given.data_dir,
                neighbor_key=given.neighbor_key,
                contrastive_weight=weight,
                seed=seed,
            )
            model = load_model(checkpoint)
            train, test = (
                open_split(model, CellStore.open(given.data_dir / split), given.neighbor_key)
                for split in (TRAIN, TEST)
            )
            rank, recall = retrieved(model, train, test).mean(0)
            table.append({
                "weight": weight,
                "seed": seed,
                "cross-entropy": round(cross_entropy(model, test), 4),
                "MRR": round(float(rank), 3),
                "recall@5": round(float(recall), 3),
                "CPU seconds": round(seconds, 1),
            })  # fmt: skip
    report("contrastive", table, data=given.data_dir.parent.name or given.data_dir.name)


if __name__ == "__main__":
    main()
