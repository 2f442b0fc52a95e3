"""Embedding cells: memory against the number of cells, and speed against one batch as it comes.

    python benchmarks/embed.py [--cells 5000 50000 200000]

Memory is that of `geneformer-t embed` on an .h5ad, with a model so small that the cells would show.
Speed is that of a model of Geneformer's shape on cells of 10x lengths, in the order in which they
come: packed and sorted here, padded in batches of 16 by Hugging Face's `BertModel`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import anndata
import h5py
import lightning as L
import numpy as np
import pandas as pd
import torch
from anndata.io import write_elem
from cells import NUM_GENES, counts_of, make_vocab, typical_lengths
from measure import paired_seconds, peak_mb, ratio, report
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertModel

from bionemo.geneformer_t.config import BioBertConfig, EmbeddingSettings, PairSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.counts.stored_matrix import row_blocks
from bionemo.geneformer_t.inference.embedder import Embedder
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.weights.huggingface import config_to_theirs, state_to_theirs
from bionemo.geneformer_t.run.embed import embed


def make_model(seq_length: int, **sizes: int) -> TemporalGeneformerModel:
    """A random model with a vocabulary."""
    torch.manual_seed(0)
    vocab = make_vocab()
    config = BioBertConfig(vocab_size=len(vocab), max_position_embeddings=seq_length, **sizes)
    model = TemporalGeneformerModel(config)
    model.adopt(vocab, PairSettings(seq_length=seq_length))
    return model.eval()


def write_cells(path: Path, lengths: np.ndarray) -> None:
    """An .h5ad of these cells, block by block."""
    names = [f"ENSG{gene:011d}" for gene in range(NUM_GENES)]
    obs = pd.DataFrame(index=[f"cell_{i}" for i in range(len(lengths))])
    anndata.AnnData(obs=obs, var=pd.DataFrame(index=names)).write_h5ad(path)
    with h5py.File(path, "a") as file:
        write_elem(file, "X", counts_of(lengths[:1], 0))
        matrix = file["X"]
        for name in ("data", "indices", "indptr"):
            kind = matrix[name].dtype
            del matrix[name]
            matrix.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(1 << 16,))
        matrix.attrs["shape"] = (len(lengths), NUM_GENES)
        ends = [np.zeros(1, dtype=np.int64)]
        for rows in row_blocks(len(lengths)):
            block = counts_of(lengths[rows], rows.start)
            ends.append(ends[-1][-1] + block.indptr[1:])
            for name, values in (("data", block.data), ("indices", block.indices)):
                matrix[name].resize((int(ends[-1][-1]),))
                matrix[name][-len(values) :] = values
        matrix["indptr"].resize((len(lengths) + 1,))
        matrix["indptr"][:] = np.concatenate(ends)


def memory(numbers: list[int], folder: Path) -> list[dict[str, object]]:
    """Peak memory of the command for files of so many cells."""
    model = make_model(
        128, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "model.ckpt")
    rows: list[dict[str, object]] = []
    for number in [numbers[0], *numbers]:  # the first pays for imports and warms up
        path = folder / "cells.h5ad"
        write_cells(path, typical_lengths(200, 0.4, number))
        started = time.perf_counter()
        peak = peak_mb(
            lambda path=path: embed(
                checkpoint=folder / "model.ckpt", input=path, output=folder / "out.h5ad"
            )
        )
        seconds = time.perf_counter() - started
        rows.append(
            {
                "cells": number,
                "file MB": round(path.stat().st_size / 1e6),
                "peak MB": round(peak),
                "seconds": round(seconds, 1),
            }
        )
    return rows[1:]


def speed(rounds: int) -> dict[str, float]:
    """Cells per second, packed and sorted against padded as they come."""
    model = make_model(
        2048, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=512
    )
    lengths = typical_lengths(800, 0.7, 64)
    names = [f"ENSG{gene:011d}" for gene in range(NUM_GENES)]
    cells = anndata.AnnData(counts_of(lengths, 0).astype(np.float32), var=pd.DataFrame(index=names))
    settings = EmbeddingSettings()
    theirs = BertModel(BertConfig(**config_to_theirs(model.config)), add_pooling_layer=False)
    state = state_to_theirs(model.net.state_dict())
    theirs.load_state_dict(
        {n.removeprefix("bert."): t for n, t in state.items() if n.startswith("bert.")}
    )
    embedder = Embedder(model, anndata_source(cells), settings, with_genes=False)
    (block,) = embedder.reader.blocks()
    contexts = [torch.from_numpy(context) for context in embedder.reading.contexts(block).rows()]

    @torch.inference_mode()
    def padded() -> list[torch.Tensor]:
        found = []
        for start in range(0, len(contexts), 16):
            batch = contexts[start : start + 16]
            ids = pad_sequence(batch, batch_first=True)
            mask = pad_sequence([torch.ones_like(cell) for cell in batch], batch_first=True)
            states = theirs.eval()(ids, mask, output_hidden_states=True).hidden_states[-2]
            genes = mask.clone()
            genes[:, 0] = 0
            genes.scatter_(1, mask.sum(1, keepdim=True) - 1, 0)
            found.append((states * genes[..., None]).sum(1) / genes.sum(1, keepdim=True))
        return found

    def packed() -> np.ndarray:
        return np.concatenate([block.embeddings for block in embedder.blocks()])

    np.testing.assert_allclose(packed(), torch.cat(padded()), rtol=1e-4, atol=1e-4)
    slow, fast = paired_seconds([padded, packed], rounds)
    return {
        "padded cells/s": len(contexts) / float(np.median(slow)),
        "packed cells/s": len(contexts) / float(np.median(fast)),
        "times faster": ratio(slow, fast),
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", type=int, default=[5_000, 50_000, 200_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report("embed-memory", memory(options.cells, Path(folder)))
    report("embed-speed", [speed(options.rounds)])


if __name__ == "__main__":
    main()
