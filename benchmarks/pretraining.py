"""Does pretraining help? Masked cells first, then pairs, against pairs from random weights.

    python benchmarks/pretraining.py [--num_cells 2200] [--num_pairs 120] [--folder DIR]

One simulated differentiation gives many single cells without a graph and a small data set with
known successors. A model is pretrained on the former with `--objective mlm`, as Geneformer was, and
fine-tuned on the latter; another of the same size starts there from random weights. Both may choose
the better of the same learning rates, have as many epochs as they like, and are judged by their
lowest loss on validation cells that neither was trained on. Vocabulary and medians are those of the
many cells, for both.
"""

import argparse
import csv
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import report

from bionemo.geneformer_t.counts.gene_medians import gene_medians
from bionemo.geneformer_t.data.write_folder import SplitContent, write_data_folder
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.prepare.learned_vocabulary import learn_vocab
from bionemo.geneformer_t.run.simulate import to_anndata
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.simulation import (
    NEIGHBOR_KEY,
    SimulationSettings,
    known_successors,
    simulate,
)

NUM_VAL = 300
MODEL = {"hidden_size": 64, "num_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
EVERY_RUN = {
    "seq_length": 256,
    "position_scheme": "restarted",  # a position is a rank in both cells, as in pretraining
    "micro_batch_size": 32,
    "num_workers": 0,
    "accelerator": "cpu",
    "seed": 1,
    "final_evaluation": False,
}
WHOLE_NEXT_CELL = {"mask_prob": 1.0, "mask_token_prob": 1.0, "random_token_prob": 0.0}
"""Every gene of a next cell is asked for and none is shown: the most that few pairs can teach, and
the same quantity in training and validation."""
LEARNING_RATES = (3e-3, 1e-3)


def write_folders(folder: Path, num_cells: int, num_pairs: int, num_genes: int) -> None:
    """`atlas`, single cells without a graph, and `pairs`, a small set with known successors."""
    settings = SimulationSettings(num_cells=num_cells, num_genes=num_genes)
    simulation = simulate(settings, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(num_cells)
    train, val, masked_val, atlas = np.split(order, np.cumsum([num_pairs, NUM_VAL, NUM_VAL]))
    cells = to_anndata(simulation)
    counts, gene_ids = simulation.counts[atlas], simulation.gene_ids
    vocab = learn_vocab(gene_medians(lambda: [counts], len(gene_ids)), gene_ids)

    def paired(rows: np.ndarray) -> SplitContent:
        graph = known_successors(
            simulation.programmes.tree, simulation.branch[rows], simulation.pseudotime[rows],
            step=settings.step, num_successors=settings.num_successors,
        )  # fmt: skip
        return SplitContent.of(cells[rows], {NEIGHBOR_KEY: graph})

    def single(rows: np.ndarray) -> SplitContent:
        return SplitContent.of(cells[rows], {NEIGHBOR_KEY: NeighborGraph.empty(len(rows))})

    record = {"command": "benchmarks/pretraining.py"}
    splits = {"train": paired(train), "val": paired(val)}
    write_data_folder(folder / "pairs", splits, vocab, record)
    splits = {"train": single(atlas), "val": single(masked_val)}
    write_data_folder(folder / "atlas", splits, vocab, record)


def curve(output_dir: Path) -> list[float]:
    """The validation loss after each epoch, in nats per gene."""
    with (output_dir / "metrics.csv").open(newline="") as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


def pretrain(folder: Path, num_epochs: int) -> Path:
    """A checkpoint of masked cells."""
    return train_temporal_geneformer(
        data_dir=folder / "atlas",
        output_dir=folder / "masked",
        objective="mlm",
        num_epochs=num_epochs,
        learning_rate=3e-3,
        **EVERY_RUN,
        **MODEL,
    )


def fine_tune(
    folder: Path, name: str, num_epochs: int, **start: object
) -> dict[float, list[float]]:
    """The curve on the pairs at each learning rate."""
    curves = {}
    for rate in LEARNING_RATES:
        output_dir = folder / f"{name}-{rate:g}"
        train_temporal_geneformer(
            data_dir=folder / "pairs",
            output_dir=output_dir,
            num_epochs=num_epochs,
            learning_rate=rate,
            **EVERY_RUN,
            **WHOLE_NEXT_CELL,
            **start,
        )
        curves[rate] = curve(output_dir)
    return curves


def verdict(pretrained: list[float], random: list[float]) -> str:
    """What the two best curves say."""
    gain = min(random) - min(pretrained)
    if gain <= 0:
        return (
            f"pretraining did not help: {min(pretrained):.3f} nats per gene after it, "
            f"{min(random):.3f} from random weights"
        )
    epochs = next(epoch for epoch, loss in enumerate(pretrained, 1) if loss < min(random))
    return (
        f"pretraining helps: {min(pretrained):.3f} nats per gene after it, {min(random):.3f} from "
        f"random weights ({gain:.3f} less); epoch {epochs} is already better than all "
        f"{len(random)} from random weights"
    )


def run(options: argparse.Namespace, folder: Path) -> None:
    """Pretrain, fine-tune from both starts, and report the curves."""
    started = time.perf_counter()
    write_folders(folder, options.num_cells, options.num_pairs, options.num_genes)
    checkpoint = pretrain(folder, options.pretraining_epochs)
    masked = curve(folder / "masked")
    starts = {"pretrained": {"pretrained": str(checkpoint)}, "random": MODEL}
    found = {name: fine_tune(folder, name, options.epochs, **s) for name, s in starts.items()}
    lowest = {name: {rate: min(c) for rate, c in curves.items()} for name, curves in found.items()}
    rates = {name: min(of_rate, key=of_rate.__getitem__) for name, of_rate in lowest.items()}
    best = {name: found[name][rate] for name, rate in rates.items()}
    report(
        "pretraining",
        [
            {"epoch": epoch, "pretrained": f"{one:.3f}", "random": f"{other:.3f}"}
            for epoch, (one, other) in enumerate(
                zip(best["pretrained"], best["random"], strict=True), 1
            )
        ],
        unit="validation loss in nats per gene",
        verdict=verdict(best["pretrained"], best["random"]),
        learning_rates=rates,
        lowest_at_each_learning_rate=lowest,
        masked_cells_curve=masked,
        settings={k: v for k, v in vars(options).items() if k != "folder"},
        seconds=round(time.perf_counter() - started),
    )
    print(verdict(best["pretrained"], best["random"]))


def main() -> None:
    """Read the options, and keep the runs where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_cells", type=int, default=2200)
    parser.add_argument("--num_pairs", type=int, default=120)
    parser.add_argument("--num_genes", type=int, default=400)
    parser.add_argument("--pretraining_epochs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    options = parser.parse_args()
    logging.getLogger("bionemo").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        run(options, options.folder or Path(temporary))


if __name__ == "__main__":
    main()
