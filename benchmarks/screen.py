"""Does a screen by gradients find the genes whose deletion has the largest effects, and how fast?

    python benchmarks/screen.py --checkpoint C --cells cells.h5ad --obs_key cluster

Every gene of some cells is deleted exactly, one pass of the network each, and its effect estimated
with several numbers of exactly deleted genes. Readouts: the probability of the most frequent labels
among candidate cells (softmax of pointwise mutual information), and expected ranks of genes. Times
are CPU seconds of one thread.
"""

import argparse
import time
from pathlib import Path

import anndata
import numpy as np
import torch
from measure import report
from torch import Tensor

from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_weights
from bionemo.geneformer_t.perturbation.deletion_estimates import deletion_estimates
from bionemo.geneformer_t.perturbation.gene_gates import Readout
from bionemo.geneformer_t.perturbation.screen_recall import LARGEST, screen_recall
from bionemo.geneformer_t.ragged import Ragged

RANKS = 128
CANDIDATES = 200
REFERENCES = 64
TEMPERATURE = 8.0
LABELS = 4
EVERYTHING = 1 << 20


def readout_of(model: NextCellModel, cells: Ragged, labels: np.ndarray) -> Readout:
    """Probabilities of the most frequent labels, and expected ranks of as many frequent genes."""
    vocab = model.required_vocab()
    held = Candidates.of(cells, RANKS, vocab)
    ranks, genes = np.divmod(held.entries, len(vocab))
    columns = torch.from_numpy(ranks * len(vocab.genes) + np.searchsorted(vocab.gene_ids, genes))
    names, counts = np.unique(labels, return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")[:LABELS]]
    is_label = torch.from_numpy((labels[:, None] == frequent).astype(np.float32))
    places = torch.from_numpy(held.places.astype(np.int64))
    scale = torch.from_numpy((RANKS / held.num_genes).astype(np.float32))
    weights = torch.from_numpy(rank_weights(RANKS).astype(np.float32))
    present = np.bincount(genes, minlength=len(vocab))[vocab.gene_ids]
    read = np.argsort(-present, kind="stable")[[0, 10, 40, 100]]

    def sums(log_probs: Tensor) -> Tensor:
        entries = torch.nn.functional.pad(log_probs.flatten(1)[:, columns], (0, 1))
        return entries[:, places].sum(-1) * scale

    references = cells.take(np.arange(REFERENCES)).truncated(genes_per_cell(model))
    with torch.no_grad():
        of_references = torch.cat(
            [
                sums(model.rank_distributions(one, RANKS, use_memory=False)[..., vocab.gene_ids])
                for one in (references.take(np.array([row])) for row in range(REFERENCES))
            ]
        )
    log_mean = of_references.logsumexp(0) - np.log(REFERENCES)

    def readout(log_probs: Tensor, _points: Tensor) -> Tensor:
        fates = ((sums(log_probs) - log_mean) / TEMPERATURE).softmax(-1) @ is_label
        expected = torch.einsum("r,crg->cg", weights, log_probs[..., read].exp())
        return torch.cat([fates, expected], dim=1)

    return readout


def mean_effects(effects: np.ndarray, genes: np.ndarray, fewest: int) -> np.ndarray:
    """By gene, of genes in so many cells or more."""
    _, gene, cells = np.unique(genes, return_inverse=True, return_counts=True)
    sums = np.zeros((len(cells), effects.shape[1]))
    np.add.at(sums, gene, effects)
    return (sums / cells[:, None])[cells >= fewest]


def main() -> None:
    """Compare, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--obs_key", required=True)
    parser.add_argument("--cells_read", type=int, default=40)
    parser.add_argument("--fewest", type=int, default=10, help="cells of a gene")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.checkpoint).eval()
    with h5ad_source(given.cells) as source:
        blocks = CellReader(model, source, 0.0).blocks()
        cells = Ragged.of([row for block in blocks for row in block.rows()])
    labels = anndata.read_h5ad(given.cells, backed="r").obs[given.obs_key].astype(str).to_numpy()
    order = np.random.default_rng(0).permutation(len(cells))
    chosen, current = order[:CANDIDATES], cells.take(order[-given.cells_read :])
    readout = readout_of(model, cells.take(chosen), labels[chosen])
    found, seconds = {}, {}
    for exact_genes in (EVERYTHING, 0, 8, 16):
        start = time.process_time()
        estimates = deletion_estimates(model, current, RANKS, readout, exact_genes=exact_genes)
        seconds[exact_genes] = time.process_time() - start
        genes = estimates.genes.values
        found[exact_genes] = mean_effects(estimates.effects, genes, given.fewest)
    exact = found.pop(EVERYTHING)
    exhaustive = seconds[EVERYTHING] - seconds[0]  # estimates were made there too
    rows = []
    for exact_genes, estimated in found.items():
        pairs = zip(exact.T, estimated.T, strict=True)
        correlation = [float(np.corrcoef(*pair)[0, 1]) for pair in pairs]
        row = {"exact genes": exact_genes, "genes": len(exact)}
        row["correlation"] = f"{np.mean(correlation):.3f} ({min(correlation):.3f})"
        for verified in (LARGEST, 2 * LARGEST):
            recall = screen_recall(estimated, exact, verified).recall
            row[f"largest {LARGEST} in {verified}"] = f"{recall.mean():.2f} ({recall.min():.2f})"
        row["CPU seconds"] = f"{seconds[exact_genes]:.1f}"
        row["times faster"] = f"{exhaustive / seconds[exact_genes]:.0f}"
        rows.append(row)
    report("screen", rows)


if __name__ == "__main__":
    main()
