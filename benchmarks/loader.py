"""How many pairs per second reach the model: tokenised, masked and packed?

With and without the token cache, by number of workers, beside what reading the rows alone costs
with SCDL and what AnnLoader (anndata.experimental) delivers: dense counts, of which nothing is
ranked, masked or paired. A pair is two cells. Pairs arrive in batches of 8.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from itertools import chain, count, islice
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata.experimental import AnnLoader
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from cells import counts_of, make_split, typical_lengths
from measure import report

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule

PAIRS, LONG, FIRST = 8, 2_700, 300
TARGETS = {("tokenising", LONG, 2): 4_000, ("token cache", LONG, 2): 20_000}
ANNLOADER_CELLS = 2_000


def per_second(epoch: Callable[[], Iterable[object]], size: int, seconds: float) -> float:
    """Items per second over some time, epoch after epoch, behind the first ones.

    Those start the workers, which then have as many ready at the begin of the time as at its end.
    """
    iterator = chain.from_iterable(epoch() for _ in count())
    for _ in islice(iterator, FIRST):
        pass
    number, started = 0, time.perf_counter()
    for _ in iterator:
        number += size
        if time.perf_counter() - started > seconds:
            break
    return number / (time.perf_counter() - started)


def ours(data_dir: Path, workers: int, seconds: float, *, token_cache: bool) -> float:
    """Pairs per second of the training batches, the best of two measurements."""
    data = TemporalGeneformerDataModule(data_dir, num_workers=workers, token_cache=token_cache)
    data.prepare_data()
    loader = data.train_dataloader()
    return max(per_second(lambda: loader, PAIRS, seconds) for _ in range(2))


def rows_alone(data_dir: Path, seconds: float) -> float:
    """Pairs per second of SCDL's row access in one process."""
    archive = SingleCellMemMapDataset(str(data_dir / "train" / "scdl"))
    order = np.random.default_rng(0).permutation(len(archive)).tolist()
    return per_second(lambda: map(archive.get_row, order), 1, seconds) / 2


def annloader(lengths: np.ndarray, seconds: float) -> float:
    """Pairs per second of dense, shuffled counts in batches of as many cells.

    In one process: with workers, the AnnLoader of anndata 0.12 fails to collate its own views.
    """
    counts = sp.csr_matrix(counts_of(lengths, seed=0).astype(np.float32))
    obs = pd.DataFrame(index=[str(cell) for cell in range(len(lengths))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated, and still what is used
        loader = AnnLoader(anndata.AnnData(counts, obs=obs), batch_size=2 * PAIRS, shuffle=True)
    return per_second(lambda: (batch.X for batch in loader), PAIRS, seconds)


def measure(median: int, folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """The rows of one kind of cells."""
    data_dir = folder / str(median)
    lengths = typical_lengths(median, 0.3, options.cells)
    make_split(data_dir / "train", lengths)
    found: dict[tuple[str, int], float] = {
        ("SCDL rows alone", 0): rows_alone(data_dir, options.seconds),
        ("AnnLoader", 0): annloader(lengths[:ANNLOADER_CELLS], options.seconds),
    }
    for workers in options.workers:
        for what, cached in (("tokenising", False), ("token cache", True)):
            rate = ours(data_dir, workers, options.seconds, token_cache=cached)
            found[what, workers] = rate
    return [
        {
            "genes_per_cell": median,
            "loader": what,
            "workers": workers,
            "pairs_per_s": rate,
            "target": TARGETS.get((what, median, workers), "-"),
        }
        for (what, workers), rate in found.items()
    ]


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for median in (LONG, 700) for row in measure(median, Path(folder), options)]
    report("loader", rows)


if __name__ == "__main__":
    main()
