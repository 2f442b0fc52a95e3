import numpy as np
import pandas as pd
import scipy.sparse as sp
from pages import HOSTILE, Page

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.neighbors.quality.warnings import graph_warnings
from bionemo.geneformer_t.report.figures.graph_map import graph_map
from bionemo.geneformer_t.report.figures.graph_quality import Pictured
from bionemo.geneformer_t.report.graph_section import graph_section

CHAIN = NeighborGraph.from_matrix(sp.eye_array(60, k=1))[0]
TWO_WAY = NeighborGraph.from_matrix(sp.eye_array(60, k=1) + sp.eye_array(60, k=-1))[0]
NOTHING = CellFacts()
FACTS = CellFacts(
    representation=np.arange(60.0)[:, None] * np.ones(3),
    time=np.arange(60.0),
    cluster=pd.Categorical(np.repeat([HOSTILE, "b"], 30)),
)


def pictured(graph: NeighborGraph, facts: CellFacts) -> Pictured:
    generator = np.random.default_rng(0)
    return Pictured(
        title=f"{HOSTILE}, train", graph=graph, quality=graph_quality(graph, facts, generator),
        facts=facts, where=graph_map(facts.representation, {}, generator),
    )  # fmt: skip


def test_measures_stand_in_a_row_for_each_split() -> None:
    section = graph_section({"train": pictured(CHAIN, FACTS), "test": pictured(TWO_WAY, NOTHING)})
    page = Page(section.shown().text)
    heads, units = page.rows[:2]
    train = dict(zip(heads[1:], page.row("train"), strict=True))
    assert train["cells"] == "60"
    assert train["edges"] == "59"
    assert train["no successor"] == "1"
    assert (train["forward"], train["backward"]) == ("100", "0")
    test = dict(zip(heads[1:], page.row("test"), strict=True))
    assert test["two-way"] == "100"
    assert test["forward"] == "-"
    assert len(units) == len(heads)
    assert "script" not in page.tags


def test_warnings_are_those_of_the_graph_report() -> None:
    graph = pictured(TWO_WAY, NOTHING)
    shown = "".join(Page(graph_section({"train": graph}).shown().text).text)
    warnings = graph_warnings(graph.quality)
    assert warnings
    for warning in warnings:
        assert f"train: {warning.sentence}" in shown
