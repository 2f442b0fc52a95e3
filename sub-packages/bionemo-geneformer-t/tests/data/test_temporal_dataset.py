import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.batch import TemporalBatch, TemporalExample, pack
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.vocab import GeneVocab

WriteSplit = Callable[..., Path]
from_folder = TemporalGeneformerDataset.from_folder


def same(one: TemporalExample, other: TemporalExample) -> bool:
    return pickle.dumps(one) == pickle.dumps(other)


@pytest.fixture
def train(tiny_data_dir: Path) -> TemporalGeneformerDataset:
    return from_folder(tiny_data_dir / "train")


def test_shuffled_successors_are_those_of_other_cells_and_the_same_every_time(
    train: TemporalGeneformerDataset, tiny_data_dir: Path
) -> None:
    settings = PairSettings(shuffle_successors=True)
    one, two = (from_folder(tiny_data_dir / "train", settings=settings) for _ in range(2))
    np.testing.assert_array_equal(one.graph.indices, two.graph.indices)
    assert (one.graph.indices != train.graph.indices).mean() > 0.8
    np.testing.assert_array_equal(one.graph.out_degree, train.graph.out_degree)
    other = from_folder(tiny_data_dir / "train", settings=replace(settings, seed=1))
    assert (one.graph.indices != other.graph.indices).any()


def test_an_example_is_a_whole_current_cell_and_scored_genes_of_a_successor(
    train: TemporalGeneformerDataset,
) -> None:
    vocab = train.vocab
    for i in range(len(train)):
        example = train[i]
        (scored,) = example.next_cells
        ids = vocab.ids
        assert example.cell == train.cells[i]
        assert example.context_ids[0] == ids["[CLS]"]
        assert example.context_ids[-1] == ids["[SEP]"]
        # The current cell is as the store has it: masking never touches it.
        np.testing.assert_array_equal(example.context_ids[1:-1], train.tokens.encode(example.cell))
        assert scored.cell in {example.cell + 1, example.cell + 2}
        following = train.tokens.encode(scored.cell)
        assert scored.num_genes == len(following)
        np.testing.assert_array_equal(scored.labels, following[scored.ranks - 1])
        assert set(scored.ids) <= {ids["[MASK]"], *vocab.gene_ids.tolist()}


def test_each_cell_is_cut_to_its_half(tiny_data_dir: Path) -> None:
    settings = PairSettings(seq_length=13, mask_prob=1.0)
    example = from_folder(tiny_data_dir / "train", settings=settings)[3]
    assert len(example.context_ids) == 5 + 2
    assert example.next_cells[0].num_genes == 5
    assert example.next_cells[0].ranks.tolist() == [1, 2, 3, 4, 5]


def test_examples_depend_on_seed_epoch_and_cell_alone(
    tiny_data_dir: Path, train: TemporalGeneformerDataset
) -> None:
    backwards = {i: train[1, i] for i in reversed(range(len(train)))}
    again = pickle.loads(pickle.dumps(train))
    for i in range(len(train)):
        assert same(again[1, i], backwards[i])
    settings = replace(train.settings, seed=7)
    other_seed = from_folder(tiny_data_dir / "train", settings=settings)
    for others in ([train[i] for i in range(39)], [other_seed[1, i] for i in range(39)]):
        differing = sum(not same(example, backwards[i]) for i, example in enumerate(others))
        assert differing > 30


@pytest.mark.parametrize("policy", ["identity", "intersection", "union"])
@pytest.mark.parametrize("next_cells", [1, 2])
def test_a_batch_is_its_examples_packed(tiny_data_dir: Path, policy: str, next_cells: int) -> None:
    settings = PairSettings(token_selection_policy=policy, next_cells_per_cell=next_cells)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    wanted = [(3, 38), (1, 0), (1, 5), (2, 5)]
    batch, expected = dataset[wanted], pack([dataset[epoch, i] for epoch, i in wanted])
    for field in fields(TemporalBatch):
        assert torch.equal(getattr(batch, field.name), getattr(expected, field.name))
    assert dataset[[]].num_contexts == 0


def test_intersection_scores_shared_genes_only(tiny_data_dir: Path) -> None:
    settings = PairSettings(token_selection_policy="intersection", mask_prob=1.0)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    for i in range(len(dataset)):
        example = dataset[i]
        (scored,) = example.next_cells
        current = set(example.context_ids[1:-1].tolist())
        following = dataset.tokens.encode(scored.cell).tolist()
        assert scored.labels.tolist() == [gene for gene in following if gene in current]


def test_union_appends_what_only_the_current_cell_expresses(tiny_data_dir: Path) -> None:
    settings = PairSettings(token_selection_policy="union", mask_prob=1.0)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    for i in range(len(dataset)):
        example = dataset[i]
        (scored,) = example.next_cells
        following = dataset.tokens.encode(scored.cell).tolist()
        lacking = [g for g in example.context_ids[1:-1].tolist() if g not in set(following)]
        assert scored.labels.tolist() == following + lacking


def test_policies_act_on_whole_cells_before_the_cut(tiny_data_dir: Path) -> None:
    settings = PairSettings(token_selection_policy="intersection", mask_prob=1.0, seq_length=15)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    example = dataset[0]
    (scored,) = example.next_cells
    current, following = (dataset.tokens.encode(cell) for cell in (example.cell, scored.cell))
    shared = [gene for gene in following.tolist() if gene in set(current.tolist())]
    assert scored.labels.tolist() == shared[:6]


def test_several_next_cells_differ_and_are_as_many_as_there_are(tiny_data_dir: Path) -> None:
    settings = PairSettings(next_cells_per_cell=2)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    drawn = [{scored.cell for scored in dataset[i].next_cells} for i in range(39)]
    assert drawn == [{i + 1, i + 2} for i in range(38)] + [{39}]


@pytest.mark.slow
def test_the_sampling_of_successors_follows_the_settings(tiny_data_dir: Path) -> None:
    shares = {}
    for sampling in ("weighted", "uniform"):
        settings = PairSettings(neighbor_key="temporal_neighbors", successor_sampling=sampling)
        dataset = from_folder(tiny_data_dir / "train", settings=settings)
        steps = [dataset[e, i].next_cells[0].cell - i for e in range(10) for i in range(38)]
        shares[sampling] = steps.count(1) / len(steps)
    assert shares["weighted"] == pytest.approx(2 / 3, abs=0.1)
    assert shares["uniform"] == pytest.approx(1 / 2, abs=0.1)


def test_all_cells_are_current_cells_where_neighbors_are_not_asked_for(tiny_data_dir: Path) -> None:
    settings = PairSettings(only_cells_with_neighbors=False)
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    assert dataset.cells.tolist() == list(range(40))
    assert [pair.cell for pair in dataset[0, 39].next_cells] == [39]
    assert dataset.most_tokens().min() > 2


@pytest.mark.parametrize("policy", ["skip", "identity", "random"])
@pytest.mark.slow
def test_cells_without_successors_follow_the_policy(tiny_data_dir: Path, policy: str) -> None:
    settings = PairSettings(
        only_cells_with_neighbors=False, no_neighbor_policy=policy, next_cells_per_cell=2
    )
    dataset = from_folder(tiny_data_dir / "train", settings=settings)
    if policy == "skip":
        assert dataset.cells.tolist() == list(range(39))
        return
    assert dataset.cells.tolist() == list(range(40))
    drawn = [[s.cell for s in dataset[epoch, 39].next_cells] for epoch in range(300)]
    if policy == "identity":
        assert drawn == [[39]] * 300
    else:
        assert {cell for pair in drawn for cell in pair} == set(range(39))
        assert all(len(set(pair)) == 2 for pair in drawn)


def test_a_cell_that_has_no_other_to_draw_is_refused(write_split: WriteSplit) -> None:
    counts = np.array([[1, 2, 3, 4], [0, 0, 0, 0]])
    split = write_split(counts, neighbors={"next_cell_ids": {}})
    settings = PairSettings(only_cells_with_neighbors=False, no_neighbor_policy="random")
    with pytest.raises(ValueError, match="needs another cell to draw"):
        from_folder(split, settings=settings)


def test_empty_cells_are_no_part_of_any_pair_and_counted(
    write_split: WriteSplit, counts: Int[ndarray, "cell gene"], caplog: pytest.LogCaptureFixture
) -> None:
    counts[1] = 0
    neighbors = {"c0": ["c1", "c2", "c2"], "c1": ["c2"], "c2": ["c3", "c2"], "c3": ["c1"]}
    split = write_split(counts, neighbors={"next_cell_ids": neighbors})
    caplog.set_level(logging.INFO, logger="bionemo.geneformer_t.data.temporal_dataset")
    dataset = from_folder(split)
    assert dataset.cells.tolist() == [0, 2]
    assert {dataset[epoch, 0].next_cells[0].cell for epoch in range(20)} == {2}
    summary = dataset.summary
    assert summary.empty_cells == 1
    assert summary.cells_with_successors == 2
    assert summary.edges == 2
    assert summary.dropped == {
        "duplicate": 1, "self-loop": 1, "zero weight": 0, "from or to an empty cell": 3,
    }  # fmt: skip
    (record,) = [r for r in caplog.records if "genes known" in r.message]
    assert record.message == (
        f"{split}: 5 cells (1 empty, 2 with successors, 2 used as current cells); 2 edges, "
        "5 dropped (1 duplicate, 1 self-loop, 3 from or to an empty cell); 4 genes known to the "
        "vocabulary, 0 not"
    )


def test_a_split_without_any_successor_is_refused(write_split: WriteSplit) -> None:
    split = write_split(neighbors={"next_cell_ids": {"c0": ["c0"]}})
    with pytest.raises(ValueError, match=r"no cell of .* under key 'next_cell_ids'; .*1 self-loop"):
        from_folder(split)
    settings = PairSettings(only_cells_with_neighbors=False, no_neighbor_policy="identity")
    assert len(from_folder(split, settings=settings)) == 5


def test_a_graph_of_other_cells_is_refused(train: TemporalGeneformerDataset) -> None:
    none = np.zeros(0, dtype=np.int64)
    graph = NeighborGraph(indptr=np.zeros(4, dtype=np.int64), indices=none, weights=np.zeros(0))
    with pytest.raises(ValueError, match="over 3 cells, the split holds 40"):
        TemporalGeneformerDataset(train.tokens, graph, train.vocab, train.settings)


def test_a_vocabulary_may_be_given(tiny_data_dir: Path) -> None:
    split = tiny_data_dir / "val"
    vocab = GeneVocab.read(split / "geneformer.vocab", split / "medians.json")
    (split / "geneformer.vocab").unlink()
    assert len(from_folder(str(split), vocab, cache_dir=str(tiny_data_dir / "cache"))) == 15
    assert (tiny_data_dir / "cache").is_dir()
    with pytest.raises(FileNotFoundError, match=r"geneformer\.vocab"):
        from_folder(split)


def test_the_files_of_the_specification_work_as_they_are(write_split: WriteSplit) -> None:
    split = write_split()
    content = {"neighbors": {"c0": ["c1", "c2"], "c1": ["c3", "c4"]}}
    (split / "neighbors.json").write_text(json.dumps(content))
    assert len(from_folder(split, settings=PairSettings(neighbor_key="knn_neighbors"))) == 2
