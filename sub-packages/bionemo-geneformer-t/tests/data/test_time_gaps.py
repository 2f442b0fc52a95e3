import json
import pickle
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.gap_pairs import gap_pairs
from bionemo.geneformer_t.data.masked_pairs import PackedBatches
from bionemo.geneformer_t.data.sampling import stream_keys
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.time_gaps import hide

NEIGHBORS = {"next_cell_ids": {"c0": ["c1"], "c1": ["c2", "c3"], "c2": ["c4"], "c3": ["c4"]}}
DAYS = np.array([0.0, 2.0, 6.0, 6.0, 14.0])
KEPT = {"time_gap_key": "day", "time_gap_dropout": 0.0}


@pytest.fixture
def split(write_split) -> Path:
    folder = write_split(neighbors=NEIGHBORS)
    annotate(folder, day=DAYS, label=[f"D{day:g}" for day in DAYS])
    return folder


def annotate(folder: Path, **columns) -> None:
    adata = anndata.read_h5ad(folder / "data.h5ad")
    for name, values in columns.items():
        adata.obs[name] = values
    adata.write_h5ad(folder / "data.h5ad")


def dataset(folder: Path, **settings) -> TemporalGeneformerDataset:
    return TemporalGeneformerDataset.from_folder(folder, settings=PairSettings(**settings))


@pytest.mark.parametrize("key", ["day", "label"])
def test_gaps_are_differences_of_times(split, key) -> None:
    pairs = dataset(split, time_gap_key=key, time_gap_dropout=0.0)
    assert pairs.gaps is not None
    assert (pairs.gaps.unit, pairs.gaps.days) == ("days", 1.0)
    for i in range(len(pairs)):
        example = pairs[i]
        (scored,) = example.next_cells
        assert scored.time_gap == DAYS[scored.cell] - DAYS[example.cell]


def test_several_steps_reach_later_cells_with_longer_gaps(split) -> None:
    pairs = dataset(split, successor_steps=3, **KEPT)
    of_first = [pairs[epoch, 0].next_cells[0] for epoch in range(300)]
    reached = {(scored.cell, scored.time_gap) for scored in of_first}
    assert reached == {(1, 2.0), (2, 6.0), (3, 6.0), (4, 14.0)}
    share = np.mean([scored.cell == 4 for scored in of_first])
    assert abs(share - 1 / 3) < 0.11  # standard deviation 0.027


def test_steps_are_counted_where_no_column_is_named(split) -> None:
    pairs = dataset(split, successor_steps=3, time_gap_key="steps", time_gap_dropout=0.0)
    steps = {1: 1, 2: 2, 3: 2, 4: 3}
    for epoch in range(20):
        (scored,) = pairs[epoch, 0].next_cells
        assert scored.time_gap == steps[scored.cell]


def test_a_batch_has_the_gaps_of_its_examples_also_through_a_pipe(split) -> None:
    pairs = dataset(split, successor_steps=2, next_cells_per_cell=2, **KEPT)
    wanted = [[(0, 0), (0, 1)], [(1, 2)]]
    packed = pickle.loads(pickle.dumps(pairs.batches(wanted)))
    for batch, examples in zip(packed.batches(), wanted, strict=True):
        gaps = [scored.time_gap for ask in examples for scored in pairs[ask].next_cells]
        np.testing.assert_array_equal(batch.time_gaps.numpy(), np.array(gaps, dtype=np.float32))
        assert len(batch.time_gaps) == len(batch.next_cells)
    assert len(next(PackedBatches.empty(1).batches()).time_gaps) == 0


def test_without_a_key_nothing_is_told_and_pairs_are_the_same(split) -> None:
    told, plain = dataset(split, **KEPT), dataset(split)
    for i in range(len(plain)):
        one, other = told[i], plain[i]
        assert one.next_cells[0].cell == other.next_cells[0].cell
        np.testing.assert_array_equal(one.next_cells[0].ids, other.next_cells[0].ids)
    assert len(plain[[(0, 0)]].time_gaps) == 0


def test_gaps_are_hidden_at_random() -> None:
    number = 20_000
    keys = stream_keys(0, np.zeros(number, dtype=np.int64), np.arange(number))
    gaps = np.arange(1.0, number + 1)
    found = hide(gaps, keys, 0.3)
    assert abs(np.isnan(found).mean() - 0.3) < 0.014
    told = ~np.isnan(found)
    np.testing.assert_array_equal(found[told], gaps[told])


def test_cells_that_are_their_own_next_cells_have_no_gap(split) -> None:
    pairs = dataset(split, only_cells_with_neighbors=False, **KEPT)
    (last,) = pairs[4].next_cells
    assert last.cell == 4
    assert np.isnan(last.time_gap)


def test_shuffled_pairs_that_go_back_in_time_have_no_gap(split) -> None:
    pairs = dataset(split, shuffle_successors=True, **KEPT)
    for i in range(len(pairs)):
        (scored,) = pairs[i].next_cells
        gap = DAYS[scored.cell] - DAYS[pairs[i].cell]
        assert scored.time_gap == gap if gap > 0 else np.isnan(scored.time_gap)


def test_stages_have_no_length(write_split) -> None:
    folder = write_split(neighbors=NEIGHBORS)
    stages = pd.Categorical(
        ["AP", "BP", "N1", "N1", "Nb"], categories=["AP", "BP", "N1", "Nb"], ordered=True
    )
    annotate(folder, stage=stages)
    pairs = dataset(folder, time_gap_key="stage", time_gap_dropout=0.0)
    assert pairs.gaps is not None
    assert (pairs.gaps.unit, pairs.gaps.days) == ("stages", None)
    assert pairs[0].next_cells[0].time_gap == 1.0


@pytest.mark.parametrize(
    ("column", "unit", "days"),
    [
        (["0h", "12h", "24h", "24h", "48h"], "hours", 1 / 24),
        (["0 days", "12h", "1 day", "1 day", "48h"], "days", 1.0),
        ([0.0, 0.1, 0.3, 0.3, 0.9], "when", None),
    ],
)
def test_units_are_those_of_the_labels_or_the_name_of_the_column(
    write_split, column, unit, days
) -> None:
    folder = write_split(neighbors=NEIGHBORS)
    annotate(folder, when=column)
    pairs = dataset(folder, time_gap_key="when")
    assert pairs.gaps is not None
    assert (pairs.gaps.unit, pairs.gaps.days) == (unit, days)


def test_pairs_to_judge_on_are_walks_with_their_gaps(split) -> None:
    pairs = dataset(split)
    found = gap_pairs(pairs, PairSettings(successor_steps=3, **KEPT), 10, seed=3)
    assert sorted(found.cells) == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.gaps, DAYS[found.later_cells] - DAYS[found.cells])
    for row, genes in zip(found.later_cells, found.later.rows(), strict=True):
        np.testing.assert_array_equal(genes, pairs.tokens.encode(int(row)))


def test_a_column_that_is_not_there_is_named_with_those_that_are(split) -> None:
    with pytest.raises(
        KeyError, match=r"time_key: obs .* has no column 'hour'; it has: day, label"
    ):
        dataset(split, time_gap_key="hour")


def test_successors_that_are_not_later_are_refused(split) -> None:
    annotate(split, wrong=[0.0, 2.0, 2.0, np.nan, 5.0])
    with pytest.raises(ValueError, match=r"3 of the 5 pairs .* in 2 it is unknown .* in 1 the"):
        dataset(split, time_gap_key="wrong")


@pytest.mark.parametrize("wrong", [{"time_gap_key": "day"}, {"successor_steps": 2}])
def test_masked_genes_of_a_cell_itself_have_no_gap(wrong) -> None:
    with pytest.raises(ValueError, match="under objective 'mlm' there is no next cell"):
        PairSettings(objective="mlm", **wrong)


def test_a_time_that_is_a_batch_is_refused(write_split) -> None:
    folder = write_split(neighbors=NEIGHBORS, folder="data/train")
    record = {"command": "prepare", "settings": {"batch_key": "run"}}
    (folder.parent / "made_by.json").write_text(json.dumps(record))
    annotate(folder, day=DAYS, run=["a", "b", "c", "c", "d"])
    with pytest.raises(ValueError, match=r"obs\['day'\] cannot be told from obs\['run'\]"):
        dataset(folder, time_gap_key="day")
    annotate(folder, run=["a", "a", "c", "c", "d"])  # one pair stays within a batch
    assert dataset(folder, time_gap_key="day").gaps is not None
