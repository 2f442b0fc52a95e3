"""Perturbed cells a second: here, and by the loop of Geneformer's own in-silico perturbation.

    python benchmarks/perturbation_speed.py [--cells 4] [--edits 48] [--rounds 3]

Both have the same random weights of 10M sizes and delete the same genes from the same cells. The
loop is written plainly on Hugging Face's BERT: the edited copies of one cell in one batch, padded
to its longest, whole sequences, and the embeddings of all positions, of which the mean is taken and
compared with that of the cell by cosine similarity. Here every edited cell is read, asked for 128
ranks of its next cell, and scored against 1,000 candidates: what `geneformer-t perturb` does.
Lengths are those of 10x cells, cut to what the model reads.
"""

import argparse
import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from cells import typical_lengths
from embed import make_model
from measure import paired_seconds, ratio, report, use_all_cores, verdict
from textbook import textbook_model

from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.later_candidates import all_candidates
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.edits import Delete
from bionemo.geneformer_t.perturbation.exact_effects import exact_effects
from bionemo.geneformer_t.perturbation.next_step import NextStep
from bionemo.geneformer_t.ragged import Ragged

SIZES = {
    "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 512,
}  # fmt: skip
SEQ_LENGTH, NUM_RANKS, NUM_CANDIDATES = 2048, 128, 1000
TARGET = 12.0
FORWARD_BATCH = 100
"""Edited copies in a batch, as in Geneformer's examples."""


def random_cells(model: NextCellModel, number: int, seed: int) -> Ragged:
    """Cells of 10x lengths."""
    rng = np.random.default_rng(seed)
    ids = model.required_vocab().gene_ids
    lengths = typical_lengths(1200, 0.5, number, seed)
    return Ragged.of([rng.permutation(ids)[:length] for length in lengths])


@torch.inference_mode()
def by_loop(
    bert: torch.nn.Module, cells: Ragged, targets: list[list[int]], batch_size: int
) -> list[torch.Tensor]:
    """Cosine similarity of the mean embeddings of each edited copy and its cell, cell by cell."""
    found = []
    for cell, genes in zip(cells.rows(), targets, strict=True):
        whole = torch.from_numpy(cell)[None]
        original = bert(whole, torch.ones_like(whole)).last_hidden_state[0].mean(dim=0)
        copies = torch.stack([torch.from_numpy(cell[cell != gene]) for gene in genes])
        for part in copies.split(batch_size):
            hidden = bert(part, torch.ones_like(part)).last_hidden_state
            found.append(F.cosine_similarity(hidden.mean(dim=1), original[None]))
    return found


def main() -> None:
    """Print both rates and their ratio, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--edits", type=int, default=48, help="genes deleted from each cell")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    use_all_cores()
    model = make_model(SEQ_LENGTH, **SIZES)
    most = genes_per_cell(model)
    cells = random_cells(model, options.cells, 0).truncated(most)
    rng = np.random.default_rng(1)
    targets = [rng.permutation(cell)[: options.edits].tolist() for cell in cells.rows()]
    others = random_cells(model, NUM_CANDIDATES, 2)
    next_step = NextStep(
        model,
        Candidates.of(others, NUM_RANKS, model.required_vocab()),
        all_candidates(options.cells, NUM_CANDIDATES),
        TransitionChoice(num_ranks=NUM_RANKS),
        None,
        rng.random((NUM_CANDIDATES, 3)),
        excludes_own=False,
    )
    bert = textbook_model(model.net).bert

    def here() -> None:
        for place, (cell, genes) in enumerate(zip(cells.rows(), targets, strict=True)):
            edits = CellEdits(Ragged.of([cell]), [(gene,) for gene in genes], Delete(), most)
            exact_effects(next_step, edits, np.array([place]), np.array([0]))

    loops = [
        lambda size=size: by_loop(bert, cells, targets, size)  # type: ignore[misc]
        for size in (FORWARD_BATCH, 8)
    ]
    ours, *theirs = paired_seconds([here, *loops], options.rounds)
    number = options.cells * options.edits
    rows: list[dict[str, Any]] = [
        {
            "who": "here",
            "cells a second": number / float(np.median(ours)),
            "times": 1.0,
            "target": "-",
        }
    ]
    for size, seconds in zip((FORWARD_BATCH, 8), theirs, strict=True):
        times = ratio(seconds, ours)
        rows.append(
            {
                "who": f"Geneformer's loop, {size} at once",
                "cells a second": number / float(np.median(seconds)),
                "times": times,
                "target": verdict(times, TARGET) if size == FORWARD_BATCH else "-",
            }
        )
    report(
        "perturbation_speed", rows, genes=cells.lengths.tolist(), edits=options.edits,
        cores=len(os.sched_getaffinity(0)), load_average_before=busy, sizes=SIZES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
