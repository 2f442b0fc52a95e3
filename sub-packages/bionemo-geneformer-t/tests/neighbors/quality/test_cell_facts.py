"""Columns of obs become facts about cells."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.quality.cell_facts import cell_facts

OBS = pd.DataFrame(
    {"kind": ["late", "early", None, "late", "middle"], "lane": [1, 2, 1, 2, 1]},
    index=[f"c{i}" for i in range(5)],
)
TIME = np.array([9.0, 0, 4, 8, 5])


def test_clusters_stand_in_the_order_of_their_time() -> None:
    cluster = cell_facts(OBS, cluster_key="kind", time=TIME).cluster
    assert list(cluster.categories) == ["early", "middle", "late"]
    assert [str(label) for label in cluster] == ["late", "early", "nan", "late", "middle"]


def test_an_order_of_the_column_itself_is_kept() -> None:
    kinds = pd.Categorical(OBS["kind"], ["late", "early", "middle", "unused"], ordered=True)
    cluster = cell_facts(OBS.assign(kind=kinds), cluster_key="kind", time=TIME).cluster
    assert list(cluster.categories) == ["late", "early", "middle"]


def test_numbers_are_labels_of_batches() -> None:
    facts = cell_facts(OBS, batch_key="lane")
    assert list(facts.batch) == ["1", "2", "1", "2", "1"]
    assert facts.labels("batch").tolist() == ["1", "2", "1", "2", "1"]


def test_labels_are_text_and_tell_what_is_missing() -> None:
    facts = cell_facts(OBS, cluster_key="kind")
    assert facts.labels("cluster").tolist() == ["late", "early", "nan", "late", "middle"]
    assert facts.labels("batch") is None


def test_a_root_is_a_cell_or_a_cluster_or_in_another_split() -> None:
    assert cell_facts(OBS, root="c3").roots.tolist() == [False] * 3 + [True, False]
    late = cell_facts(OBS, cluster_key="kind", root="late").roots
    assert late.tolist() == [True, False, False, True, False]
    assert cell_facts(OBS, cluster_key="kind", root="c99").roots is None


@pytest.mark.parametrize("option", ["batch_key", "cluster_key"])
def test_a_missing_column_is_named_with_those_that_exist(option: str) -> None:
    with pytest.raises(KeyError, match=f"{option}: obs has no column 'x'; it has: kind, lane"):
        cell_facts(OBS, **{option: "x"})
