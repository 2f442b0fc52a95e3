import json

import numpy as np
import pytest
from scored import score_tokens

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate import simulated_data as module
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.row_names import SIMULATOR
from bionemo.geneformer_t.evaluate.simulated_data import simulated_bounds
from bionemo.geneformer_t.run.simulate import simulate


@pytest.fixture
def folder(tmp_path):
    return simulate(output_dir=tmp_path / "data", num_cells=400, num_genes=60, counts_per_cell=300)


@pytest.fixture
def dataset(folder):
    return TemporalGeneformerDataset.from_folder(
        folder / "test", settings=PairSettings(seq_length=64)
    )


@pytest.mark.slow
def test_simulated_cells_have_a_bound_and_a_sentence(folder, dataset) -> None:
    bounds, about = simulated_bounds(folder, dataset)
    assert "1,000 next cells simulated at the true place" in about
    assert "a bound" in about
    pairs = CellPairs.from_dataset(dataset).draw_cells(5, np.random.default_rng(0))
    found = score_tokens(bounds[SIMULATOR], pairs).all.scores.cross_entropy
    assert 0 < found < np.log(60) - 0.3


class Untuned:
    draws, width, excess = 1, 1.0, 0.0

    @staticmethod
    def of_cells(_cells, _num_ranks):
        raise AssertionError("nothing is asked here")


def test_simulated_counts_are_encoded_as_those_of_the_folder(folder, dataset, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(
        module, "fit_simulator_bound", lambda places, _: seen.append(places) or Untuned
    )
    simulated_bounds(folder, dataset)
    (places,) = seen
    store = dataset.tokens.store
    counts = np.zeros((len(store), 60))
    for cell in range(len(store)):
        values, columns = store.row(cell)
        counts[cell, columns] = values
    encoded = places.encode(module.sp.csr_matrix(counts))
    for cell, genes in enumerate(encoded):
        np.testing.assert_array_equal(genes, dataset.tokens.encode(cell))


def test_cells_that_were_not_simulated_have_none(tiny_data_dir) -> None:
    dataset = TemporalGeneformerDataset.from_folder(tiny_data_dir / "test")
    assert simulated_bounds(tiny_data_dir, dataset) == ({}, "")


def test_cells_of_another_version_have_none_and_a_sentence(folder, dataset) -> None:
    record = json.loads((folder / "made_by.json").read_text())
    record["settings"]["seed"] += 1
    (folder / "made_by.json").write_text(json.dumps(record))
    bounds, about = simulated_bounds(folder, dataset)
    assert not bounds
    assert "is not known: another version simulated" in about


def test_cells_with_switch_genes_have_none_and_a_sentence(tmp_path) -> None:
    folder = simulate(
        output_dir=tmp_path / "fates", num_cells=200, num_genes=60, num_switch_genes=1
    )
    dataset = TemporalGeneformerDataset.from_folder(folder / "test")
    bounds, about = simulated_bounds(folder, dataset)
    assert not bounds
    assert "only for cells without switch genes" in about
