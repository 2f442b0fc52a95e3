"""The table is aligned, leaves out what was not measured, and says warnings in words."""

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.report.graph_tables import graph_text


def quality(facts: CellFacts, *, backward: bool = False):
    matrix = sp.eye_array(20, k=-1 if backward else 1)
    return graph_quality(NeighborGraph.from_matrix(matrix)[0], facts, np.random.default_rng(0))


def test_rows_are_aligned_and_warnings_are_below() -> None:
    timed = CellFacts(time=np.arange(20.0))
    found = {
        ("next_cell_ids", "train"): quality(timed),
        ("other", "test"): quality(timed, backward=True),
    }
    lines = graph_text(found).splitlines()
    head, first, second = lines[:3]
    assert first.startswith("next_cell_ids  train")
    for name in ("cells", "edges", "forward", "backward"):
        end = head.index(name) + len(name)
        assert first[end - 1] != " "
        assert second[end - 1] != " "
    text = " ".join(line.strip() for line in lines)
    assert "warning: other, test: 100% of the steps go back in time" in text
    assert "warning: next_cell_ids" not in text
    assert all(len(line) <= 100 for line in lines)


def test_what_was_not_measured_has_no_column() -> None:
    head = graph_text({("next_cell_ids", "train"): quality(CellFacts())}).splitlines()[0]
    assert "two-way" in head
    for name in ("forward", "distance", "reached", "cross batch"):
        assert name not in head


def test_the_same_warning_of_several_splits_is_said_once() -> None:
    wrong = quality(CellFacts(time=np.arange(20.0)), backward=True)
    found = {("next_cell_ids", split): wrong for split in ("train", "val", "test")}
    text = " ".join(graph_text(found).split())
    assert text.count("go back in time") == 1
    assert "It may be reversed. The same in val and test." in text
