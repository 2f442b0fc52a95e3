from dataclasses import fields
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.data.collate import collate
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_batch_arrives_as_it_was_sent(tiny_data_dir: Path, size: int) -> None:
    dataset = TemporalGeneformerDataset.from_folder(tiny_data_dir / "val")
    sent = collate(dataset[[(0, i) for i in range(size)]])
    content = bytes(ForkingPickler.dumps(sent))
    arrived = ForkingPickler.loads(content)
    assert isinstance(arrived, TemporalBatch)
    assert arrived.num_contexts == size
    for field in fields(TemporalBatch):
        assert torch.equal(getattr(arrived, field.name), getattr(sent, field.name))
        assert getattr(arrived, field.name).dtype == torch.int64
