import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.evaluate.annotations import evaluation_facts


@pytest.fixture
def stores(tiny_data_dir):
    found = {name: tiny_data_dir / name for name in ("train", "test")}
    for folder in found.values():
        cells = anndata.read_h5ad(folder / "data.h5ad")
        cells.obs["donor_id"] = [f"d{i % 3}" for i in range(cells.n_obs)]
        cells.obs["lane"] = ["x", "y"] * (cells.n_obs // 2)
        cells.write_h5ad(folder / "data.h5ad")
    return {name: CellStore.open(folder) for name, folder in found.items()}


def test_columns_with_usual_names_are_found_and_named(stores) -> None:
    facts, text = evaluation_facts(stores, None, None)
    assert facts["test"].labels("batch").tolist() == [f"d{i % 3}" for i in range(16)]
    assert facts["test"].cluster is None
    np.testing.assert_array_equal(np.unique(facts["train"].time), [0, 1])
    for words in ("Times: obs['day']", "Clusters: none", "Donors: obs['donor_id']"):
        assert words in text


def test_a_column_that_is_named_wins(stores) -> None:
    facts, text = evaluation_facts(stores, None, "lane", "lane")
    assert set(facts["test"].batch) == set(facts["test"].cluster) == {"x", "y"}
    assert "Donors: obs['lane']" in text


@pytest.mark.parametrize("setting", ["cluster_key", "donor_key"])
def test_a_column_that_is_missing_is_named_with_those_that_are_there(stores, setting) -> None:
    given = {"time_key": None, "cluster_key": None, setting: "nobody"}
    with pytest.raises(KeyError, match=f"{setting}: obs of .* has no column 'nobody'; it has: day"):
        evaluation_facts(stores, **given)


def test_what_the_graph_was_made_from_comes_before_usual_names(stores) -> None:
    recorded = {"time_key": "lane", "time_order": ("y", "x"), "batch_key": "lane"}
    facts, text = evaluation_facts(stores, None, None, None, recorded)
    assert facts["test"].time.tolist() == [1, 0] * 8
    assert "Times: obs['lane']" in text
    assert "Donors: obs['lane']" in text


def test_a_recorded_column_that_is_not_there_is_passed_over(stores) -> None:
    _, text = evaluation_facts(stores, None, None, None, {"time_key": "dpt_pseudotime"})
    assert "Times: obs['day']" in text
