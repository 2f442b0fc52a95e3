"""Transitions: speed against one pass for each pair, memory against cells, recall of successors.

    python benchmarks/transitions.py [--checkpoint C --data_dir D] [--cells 2000 10000 40000]

* Scores of 2,000 x 2,000 cells, timed whole, against one pass of the textbook model for each pair,
  timed on 50 x 50 pairs and scaled. Both read the same cells with the same weights.
* The ways to add up the scores, once tables of log-probabilities are there: sums of their rows, a
  product with a sparse matrix, and the product of hidden states with embeddings.
* Peak memory of `geneformer-t transitions`, with a model so small that the cells would show.
* With a checkpoint: recall of true successors among the held-out cells, beside nearest cells.
"""

import argparse
import tempfile
import time
from pathlib import Path

import anndata
import lightning as L
import numpy as np
import scanpy as sc
import scipy.sparse as sp
import torch
from cells import make_vocab, typical_lengths
from embed import make_model, write_cells
from measure import paired_seconds, peak_mb, ratio, report
from textbook import Pair, textbook_inputs, textbook_model

from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.context_tables import summed_entries
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.run.transitions import transitions
from bionemo.geneformer_t.vocab import CLS, MASK, SEP

NUM_RANKS = 128
NUM_PAIRS = 50 * 50
"""Of the textbook model, at most."""


def random_cells(model: NextCellModel, number: int, seed: int) -> Ragged:
    """Cells of 10x lengths."""
    rng = np.random.default_rng(seed)
    lengths = typical_lengths(800, 0.4, number, seed)
    ids = model.required_vocab().gene_ids
    return Ragged.of([rng.permutation(ids)[:length] for length in lengths])


def speed(number: int, seconds_of_textbook: float) -> dict[str, float]:
    """Scores of so many cells squared, against one pass for each pair."""
    model = make_model(
        1024, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=512
    )
    cells = random_cells(model, number, 0)
    started = time.process_time()
    candidate_scores(
        model, cells, cells, number=30, num_ranks=NUM_RANKS, exclude_self=True,
        references=cells.take(np.arange(128)),
    )  # fmt: skip
    ours = time.process_time() - started
    theirs, passes = textbook_seconds(model, cells, seconds_of_textbook)
    scaled = theirs / passes * number * number
    return {
        "cells": number,
        "ours s": ours,
        "textbook pairs timed": passes,
        "textbook s, scaled": scaled,
        "times faster": scaled / ours,
    }


@torch.inference_mode()
def textbook_seconds(model: NextCellModel, cells: Ragged, limit: float) -> tuple[float, int]:
    """Seconds of passes over pairs one by one, up to 50 x 50 or a limit, and their number."""
    oracle, vocab = textbook_model(model.net), model.required_vocab()
    ranks = np.arange(1, NUM_RANKS + 1)
    masked = np.full(NUM_RANKS, vocab.ids[MASK])
    started, done = time.process_time(), 0
    for row in np.repeat(np.arange(50), NUM_PAIRS // 50).tolist():
        context = cells.row(row)[: genes_per_cell(model)]
        framed = np.concatenate([[vocab.ids[CLS]], context, [vocab.ids[SEP]]])
        pair = Pair(context=framed, shown=masked, ranks=ranks, labels=masked)
        inputs = textbook_inputs([pair], model.config)
        del inputs["labels"]
        oracle(**inputs).logits[0, len(framed) : -1].log_softmax(-1)
        done += 1
        if time.process_time() - started > limit:
            break
    return time.process_time() - started, done


@torch.inference_mode()
def ways_to_sum(rounds: int) -> dict[str, float]:
    """Seconds to add up scores of 2,000 candidates for 64 contexts by each way."""
    hidden, num_contexts, number = 256, 64, 2_000
    vocab = make_vocab(5_000)
    rng = np.random.default_rng(0)
    cells = Ragged.of([rng.permutation(vocab.gene_ids)[:NUM_RANKS] for _ in range(number)])
    candidates = Candidates.of(cells, NUM_RANKS, vocab)
    table = torch.randn(len(candidates.entries) + 1, num_contexts)
    table[-1] = 0
    indptr = np.arange(number + 1) * NUM_RANKS
    ones = np.ones(number * NUM_RANKS, dtype=np.float32)
    sparse = sp.csr_array(
        (ones, candidates.places.ravel(), indptr), shape=(number, len(candidates.entries) + 1)
    )
    states, embeddings = torch.randn(num_contexts, NUM_RANKS, hidden), torch.randn(5_010, hidden)
    genes = torch.from_numpy(np.stack(cells.rows()))

    def product() -> torch.Tensor:
        return embeddings[genes].flatten(1) @ states.flatten(1).T

    everything = slice(None)
    ways = (
        lambda: summed_entries(table, candidates, everything),
        lambda: sparse @ table.numpy(),
        product,
    )
    np.testing.assert_allclose(ways[0](), ways[1](), rtol=1e-3, atol=1e-3)
    sums, by_scipy, by_product = paired_seconds(ways, rounds, clock=time.process_time)
    return {
        "sums of rows s": float(np.median(sums)),
        "SciPy's sparse product s": float(np.median(by_scipy)),
        "product with embeddings s": float(np.median(by_product)),
        "sums over product, times": ratio(by_product, sums),
    }


def memory(numbers: list[int], folder: Path) -> list[dict[str, object]]:
    """Peak memory of the command for files of so many cells."""
    model = make_model(
        128, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "model.ckpt")
    rows: list[dict[str, object]] = []
    for number in [500, *numbers]:  # the first pays for imports and warms up
        path = folder / "cells.h5ad"
        write_cells(path, typical_lengths(200, 0.4, number))

        def write(path: Path = path) -> None:
            transitions(
                checkpoint=folder / "model.ckpt", input=path, output=folder / "out.h5ad",
                num_ranks=16,
            )  # fmt: skip

        started = time.perf_counter()
        peak = peak_mb(write)
        seconds = time.perf_counter() - started
        rows.append(
            {
                "cells": number,
                "edges": number * 30,
                "square of float32 MB": round(number**2 * 4 / 1e6),
                "peak MB": round(peak),
                "seconds": round(seconds, 1),
            }
        )
    return rows[1:]


def recall(
    checkpoint: Path, data_dir: Path, settings: dict[str, object]
) -> list[dict[str, object]]:
    """Recall@5 and MRR of the graph's successors among all cells of the test split."""
    model = load_model(checkpoint)
    split = open_split(model, data_dir / "test")
    training = open_split(model, data_dir / "train")
    filled = np.flatnonzero(np.asarray(split.tokens.num_genes) > 0)
    cells = encoded(split, filled)
    truth = split.graph.to_matrix()[filled][:, filled].toarray() > 0
    has = np.flatnonzero(truth.any(axis=1))
    rng = np.random.default_rng(0)
    references = encoded(training, np.sort(rng.permutation(training.cells)[:128]))
    counts = anndata.read_h5ad(data_dir / "test" / "data.h5ad")[filled].copy()
    sc.pp.normalize_total(counts, target_sum=1e4)
    sc.pp.log1p(counts)
    sc.pp.pca(counts, n_comps=min(30, len(filled) - 1))
    places = counts.obsm["X_pca"]
    apart = ((places[:, None] - places) ** 2).sum(axis=2)
    rows = [{"scores": "nearest cells in PCA", **recalled(-apart[has], truth[has], has)}]
    rows.append(
        {"scores": "chance", **recalled(rng.normal(size=apart.shape)[has], truth[has], has)}
    )
    for name, score, use_memory in (
        ("likelihood, network alone", "likelihood", False),
        ("mutual information, network alone", "pmi", False),
        ("mutual information, with memory", "pmi", True),
    ):
        found = candidate_scores(
            model, cells.take(has), cells, references=references, score=score,
            use_memory=use_memory, **settings,
        )  # fmt: skip
        dense = np.empty(found.scores.shape)
        np.put_along_axis(dense, found.candidates, found.scores, axis=1)
        rows.append({"scores": name, **recalled(dense, truth[has], has)})
    return rows


def encoded(split: object, rows: np.ndarray) -> Ragged:
    """Cells of a split, all genes."""
    found = split.tokens.rows_of(rows)
    return Ragged.of([np.asarray(genes, dtype=np.int64) for genes in found])


def recalled(scores: np.ndarray, truth: np.ndarray, itself: np.ndarray) -> dict[str, float]:
    """MRR, recall@5, and how few cells half of the top-5 edges end in."""
    scores = scores.copy()
    scores[np.arange(len(scores)), itself] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order, axis=1)
    possible = np.minimum(truth.sum(axis=1), 5)
    ends = np.sort(np.bincount(order[:, :5].ravel(), minlength=scores.shape[1]))[::-1].cumsum()
    return {
        "MRR": float((1 / (1 + hits.argmax(axis=1))).mean()),
        "recall@5": float((hits[:, :5].sum(axis=1) / possible).mean()),
        "half of the top-5 edges end in": int((ends < ends[-1] / 2).sum()) + 1,
        "cells": len(scores),
    }


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--data_dir", type=Path)
    parser.add_argument("--cells", nargs="+", type=int, default=[2_000, 10_000, 40_000])
    parser.add_argument("--number", type=int, default=2_000, help="cells that are scored squared")
    parser.add_argument("--textbook_seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.checkpoint is not None:
        for ranks in (64, 128):
            found = recall(options.checkpoint, options.data_dir, {"num_ranks": ranks})
            report(f"transitions-recall-{ranks}-ranks", found)
    report("transitions-sums", [ways_to_sum(options.rounds)])
    with tempfile.TemporaryDirectory() as folder:
        report("transitions-memory", memory(options.cells, Path(folder)))
    report("transitions-speed", [speed(options.number, options.textbook_seconds)])


if __name__ == "__main__":
    main()
