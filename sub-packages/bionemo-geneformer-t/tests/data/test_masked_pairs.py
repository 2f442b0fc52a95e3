from dataclasses import fields
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.masked_pairs import PackedBatches
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset


def assert_same(one: TemporalBatch, other: TemporalBatch) -> None:
    for field in fields(TemporalBatch):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name
        expected = torch.float32 if field.name == "time_gaps" else torch.int64
        assert getattr(one, field.name).dtype == expected


@pytest.mark.parametrize("sizes", [[0], [1], [5], [2, 0, 3], [0, 0], [4, 4, 4, 1]])
@pytest.mark.parametrize(("next_cells", "weight"), [(1, 0.0), (3, 0.0), (2, 1.0)])
def test_batches_arrive_as_they_would_have_been_made_alone(
    tiny_data_dir: Path, sizes: list[int], next_cells: int, weight: float
) -> None:
    settings = PairSettings(next_cells_per_cell=next_cells, contrastive_weight=weight)
    dataset = TemporalGeneformerDataset.from_folder(tiny_data_dir / "val", settings=settings)
    examples = iter([(epoch, i) for epoch in range(2) for i in range(len(dataset))])
    asked = [[next(examples) for _ in range(size)] for size in sizes]
    content = bytes(ForkingPickler.dumps(dataset.batches(asked)))
    arrived = ForkingPickler.loads(content)
    assert isinstance(arrived, PackedBatches)
    for batch, alone in zip(arrived.batches(), asked, strict=True):
        assert batch.num_contexts == len(alone)
        assert_same(batch, dataset[alone])
