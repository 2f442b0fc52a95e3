"""Groups are the workers' affair: whoever reads the batches cannot tell."""

from dataclasses import fields
from itertools import islice
from pathlib import Path

import pytest

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.data import loader as loaders
from bionemo.geneformer_t.data.loader import PairLoader
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule


def loader_of(data_dir: Path, **settings: int) -> PairLoader:
    return TemporalGeneformerDataModule(data_dir, **settings).train_dataloader()


def content(batch: TemporalBatch) -> list[list[int]]:
    return [getattr(batch, field.name).tolist() for field in fields(TemporalBatch)]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("pairs", [1, 11, 64])
@pytest.mark.parametrize("size", [{"micro_batch_size": 4}, {"max_tokens_per_batch": 150}])
def test_the_size_of_groups_changes_no_batch(
    tiny_data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    num_workers: int,
    pairs: int,
    size: dict[str, int],
) -> None:
    monkeypatch.setattr(loaders, "PAIRS_AT_ONCE", pairs)
    loader = loader_of(tiny_data_dir, num_workers=num_workers, **size)
    dataset = TemporalGeneformerDataModule(tiny_data_dir, **size).train
    expected = [content(dataset.batch(asked)) for asked in loader.sampler]
    assert len(loader) == len(expected) >= 8
    for _ in range(2):  # the same workers again
        assert [content(batch) for batch in loader] == expected


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_goes_on_inside_a_group(tiny_data_dir: Path, num_workers: int) -> None:
    whole = [content(batch) for batch in loader_of(tiny_data_dir, micro_batch_size=2)]
    loader = loader_of(tiny_data_dir, micro_batch_size=2, num_workers=num_workers)
    assert loader.batch_size is not None
    assert loader.batch_size > len(whole)  # one group is the epoch
    list(islice(loader, 3))  # an epoch that is left early leaves nothing behind
    loader.resume(0, 7)
    assert [content(batch) for batch in loader] == whole[7:]


@pytest.mark.parametrize(("size", "at_once"), [(1, 64), (8, 8), (20, 3), (39, 2)])
def test_groups_hold_as_many_pairs_for_any_size_of_batches(
    tiny_data_dir: Path, size: int, at_once: int
) -> None:
    assert loader_of(tiny_data_dir, micro_batch_size=size).batch_size == at_once


def test_as_many_batches_are_ready_as_were_asked_for(tiny_data_dir: Path) -> None:
    asked = {"micro_batch_size": 32, "num_workers": 1}
    few = loader_of(tiny_data_dir, prefetch_factor=1, **asked)
    many = loader_of(tiny_data_dir, prefetch_factor=9, **asked)
    assert few.prefetch_factor == 2
    assert many.prefetch_factor is not None
    assert many.batch_size is not None
    assert many.prefetch_factor * many.batch_size >= 9
