"""Do drawn next cells describe held-out ones better than measured next cells do?

    python benchmarks/resampling.py DATA_DIR [DATA_DIR ...] [--neighbor_key KEY]

For each data folder: cross-entropy of held-out next cells of the training split under the next
cells of similar current cells, measured (0) or drawn anew from so many similar cells
(`train --resampling_neighbors`). The lowest is the value to train with.
"""

import argparse
from pathlib import Path

import numpy as np
from measure import report

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.folder import TRAIN
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.resampled_pairs import compare_resampling


def main() -> None:
    """Compare on every folder, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    parser.add_argument("--neighbor_key", default=PairSettings.neighbor_key)
    given = parser.parse_args()
    table = []
    for folder in given.data_dirs:
        settings = PairSettings(seq_length=768, neighbor_key=given.neighbor_key)
        train = TemporalGeneformerDataset.from_folder(folder / TRAIN, settings=settings)
        nats = compare_resampling(train, np.random.default_rng(settings.seed))
        best = min(nats, key=nats.__getitem__)
        shown = {str(number): round(value, 4) for number, value in nats.items()}
        table.append({"data": folder.parent.name or folder.name, "best": best, **shown})
    report("resampling", table)


if __name__ == "__main__":
    main()
