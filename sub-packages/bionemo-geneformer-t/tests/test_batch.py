"""Packing keeps every token and its owner."""

import numpy as np
import torch

from bionemo.geneformer_t.batch import ScoredGenes, TemporalExample, pack


def example(cell: int, context: int, scored: list[int]) -> TemporalExample:
    return TemporalExample(
        context_ids=np.arange(context),
        next_cells=tuple(
            ScoredGenes(
                ids=np.arange(size) + 100,
                ranks=np.arange(size) + 1,
                labels=np.arange(size) + 200,
                num_genes=size + 3,
                cell=10 * cell + i,
            )
            for i, size in enumerate(scored)
        ),
        cell=cell,
    )


def test_offsets_delimit_what_went_in():
    batch = pack([example(1, 4, [2, 0]), example(2, 3, [1])])
    assert batch.context_offsets.tolist() == [0, 4, 7]
    assert batch.scored_offsets.tolist() == [0, 2, 2, 3]
    assert batch.next_cell_context.tolist() == [0, 0, 1]
    assert batch.cells.tolist() == [1, 2]
    assert batch.next_cells.tolist() == [10, 11, 20]
    assert batch.scored_labels.tolist() == [200, 201, 200]
    assert (batch.num_contexts, batch.num_scored) == (2, 3)


def test_an_empty_batch_is_a_batch():
    batch = pack([])
    assert (batch.num_contexts, batch.num_scored) == (0, 0)
    assert batch.context_offsets.tolist() == batch.scored_offsets.tolist() == [0]


def test_moving_a_batch_moves_every_tensor():
    moved = pack([example(1, 4, [2])]).to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 13
    assert all(tensor.is_meta for tensor in tensors)
