import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pages import HOSTILE, Page

from bionemo.geneformer_t.evaluate.by_cluster import ClusterGain, ClusterGains
from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.population_text import population_sentence
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.text import summary
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality
from bionemo.geneformer_t.report import page as parts
from bionemo.geneformer_t.report.figures.graph_map import graph_map
from bionemo.geneformer_t.report.figures.graph_quality import Pictured
from bionemo.geneformer_t.report.page import MOST_DRAWN, page

MINUS = "\N{MINUS SIGN}"
CHAIN = NeighborGraph.from_matrix(sp.eye_array(60, k=1))[0]
TWO_WAY = NeighborGraph.from_matrix(sp.eye_array(60, k=1) + sp.eye_array(60, k=-1))[0]
NOTHING = CellFacts()
FACTS = CellFacts(
    representation=np.arange(60.0)[:, None] * np.ones(3),
    time=np.arange(60.0),
    cluster=pd.Categorical(np.repeat([HOSTILE, "b"], 30)),
)


def shown(**sections) -> Page:
    return Page(page("", "", "", sections))


def words(found: Page) -> str:
    return "".join(found.text)


def test_sections_are_in_their_order_and_links_lead_to_them() -> None:
    sections = {"loss": parts.loss(None), "clusters": parts.clusters(None)}
    made = Page(page("Title", "under", "verdict", sections))
    assert [name for name in made.values("id") if name] == ["loss", "clusters"]
    assert made.values("href") == ["#loss", "#clusters"]
    text = words(made)
    assert text.index("verdict") < text.index("no metrics.csv")


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = page(HOSTILE, HOSTILE, HOSTILE, {"loss": parts.loss(None)})
    made = Page(text)
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(made.tags)
    assert made.values("src") == []
    assert words(made).count(HOSTILE) == 4
    assert "@import" not in text
    assert "url(" not in text


def test_a_page_has_a_language_and_a_title_and_prints() -> None:
    text = page("A title", "", "", {})
    assert text.startswith("<!doctype html>\n")
    made = Page(text)
    assert made.values("lang") == ["en"]
    assert made.text.count("A title") == 2
    assert "@media print" in text
    assert "#0b6e99" in text


def test_it_says_what_was_trained_and_what_was_scored(untrained_checkpoint, evaluation) -> None:
    found = shown(
        about=parts.about(
            summarise_checkpoint(untrained_checkpoint),
            {"hidden_size": 16, "wandb_project": HOSTILE},
            untrained_checkpoint.with_name(HOSTILE.replace("/", "|")),
            evaluation,
            "Times: none.",
        )
    )
    assert found.row("checkpoint") == [str(untrained_checkpoint)]
    assert "hidden size 16" in found.row("model")[0]
    assert found.row("trained on") == ["not recorded"]
    assert "28 genes" in found.row("vocabulary")[0]
    assert f"wandb_project {HOSTILE}" in words(found)
    assert found.row("scored")[0].startswith("39 current cells, 39 next cells, 234 positions")
    assert not {"script", "img"} & set(found.tags)


def test_the_lowest_and_the_last_validation_loss_are_named(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/loss,val/loss\n0,0,3,\n9,0,,2.5\n19,1,,2.25\n29,2,,2.75\n")
    found = shown(loss=parts.loss(path))
    assert "lowest at step 20 (2.250 nats) and ended at 2.750 nats" in words(found)
    assert found.values("alt")[0].endswith("2.750 nats.")


def test_a_run_without_validation_is_shown_with_its_training_loss(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/loss\n0,0,3\n1,0,2\n")
    found = shown(loss=parts.loss(path))
    assert "no validation cells" in words(found)
    assert found.tags.count("img") == 1


def test_without_metrics_the_section_says_so() -> None:
    assert "no metrics.csv" in words(shown(loss=parts.loss(None)))


def pictured(graph: NeighborGraph, facts: CellFacts) -> Pictured:
    generator = np.random.default_rng(0)
    return Pictured(
        title=f"{HOSTILE}, train", graph=graph, quality=graph_quality(graph, facts, generator),
        facts=facts, where=graph_map(facts.representation, {}, generator),
    )  # fmt: skip


def test_measures_of_graphs_are_in_a_row_for_each_split() -> None:
    graphs = {"train": pictured(CHAIN, FACTS), "test": pictured(TWO_WAY, NOTHING)}
    found = shown(graph=parts.graph(graphs))
    heads = found.rows[0]
    train = dict(zip(heads[1:], found.row("train"), strict=True))
    assert train["cells"] == "60"
    assert train["edges"] == "59"
    assert train["no successor"] == "1"
    assert (train["forward"], train["backward"]) == ("100%", "0%")
    test = dict(zip(heads[1:], found.row("test"), strict=True))
    assert test["two-way"] == "100%"
    assert test["forward"] == "-"
    assert "forward, backward: fraction of the steps to a later, to an earlier cell" in words(found)
    assert "script" not in found.tags
    assert found.values("alt")[0].startswith(f"{HOSTILE}, train: 60 cells and 59 edges, 100%")


def test_warnings_are_those_of_the_graph_report() -> None:
    graph = pictured(TWO_WAY, NOTHING)
    text = words(shown(graph=parts.graph({"train": graph})))
    warnings = graph_warnings(graph.quality)
    assert warnings
    for warning in warnings:
        assert f"train: {warning.sentence}" in text


@pytest.fixture(scope="module")
def scores(evaluation) -> Page:
    return shown(scores=parts.scores(evaluation))


def figure(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}".replace("-", MINUS)


@pytest.mark.parametrize("name", [MODEL, *BASELINES])
def test_tables_hold_the_figures_of_each_row(name, evaluation, scores) -> None:
    tokens, cells, changes, varieties, populations = (
        row[1:] for row in scores.rows if row[0] == name
    )
    row = evaluation.rows[name]
    assert tokens == [
        figure(row.all.cross_entropy, 3),
        f"{row.interval.low:.3f} to {row.interval.high:.3f}",
        *(figure(100 * share, 1) for share in (row.all.top1, row.all.top10, row.all.top100)),
        figure(row.changed.cross_entropy, 3),
        *(figure(100 * s, 1) for s in (row.changed.top1, row.changed.top10, row.changed.top100)),
    ]
    assert cells[1] == figure(100 * np.nanmean(row.whole.cells.overlap[100]), 1)
    assert cells[2] == "-"  # no times are known
    value, excess = np.nanmean(row.whole.cells.delta_pearson), row.change.mean
    assert changes[:2] == [figure(value, 3), figure(value - excess, 3)]
    assert changes[2] == f"{excess:+.3f}".replace("-", MINUS)
    assert varieties[0] == f"{row.variety.distinct_lists:,}"
    assert varieties[1] == figure(row.variety.information, 3)
    assert varieties[2] == figure(row.right_information.mean, 3)
    energy = row.whole.population.energy
    assert (
        populations[0]
        == f"{figure(energy.mean, 3)} \N{PLUS-MINUS SIGN} {figure(energy.high - energy.mean, 3)}"
    )


def test_marks_that_populations_are_read_against_follow(evaluation, scores) -> None:
    for name, found in evaluation.populations.marks.items():
        assert scores.row(name)[1].startswith(figure(found.wasserstein.mean, 3))


def test_the_words_are_those_of_the_terminal(evaluation, scores) -> None:
    text = words(scores)
    for line in summary(evaluation).splitlines():
        assert line.strip() in text
    # for each baseline, populations and the bound; details are under the first ones
    assert scores.tags.count("li") == len(BASELINES) + 2
    _, details = population_sentence(evaluation.populations)
    # and the legend of the picture
    assert scores.tags.count("small") == len(BASELINES) + len(details) + 1


def test_only_the_model_is_set_off(scores) -> None:
    assert scores.values("class").count("marked") == 5


def gain_in(cluster: str, mean: float) -> ClusterGain:
    interval = Interval(mean=mean, low=mean - 0.1, high=mean + 0.1)
    return ClusterGain(
        cluster=cluster, num_cells=1234, model=2.0, baseline=2.0 + mean, gain=interval
    )


def test_every_cluster_has_its_figures() -> None:
    gains = ClusterGains(
        baseline="copying", clusters=(gain_in(HOSTILE, 0.5), gain_in("b", -0.25)), left_out=("c",)
    )
    section = parts.clusters(gains)
    found = shown(clusters=section)
    assert found.row(HOSTILE) == ["1,234", "2.000", "2.500", "+0.500", "0.400 to 0.600"]
    assert found.row("b")[3] == f"{MINUS}0.250"
    assert "fewer than 10 current cells: c." in words(found)
    assert section["picture"].name == "skill_by_cluster"


def test_the_table_holds_clusters_that_the_picture_has_no_room_for() -> None:
    many = tuple(gain_in(f"cluster {i}", 0.1) for i in range(MOST_DRAWN + 5))
    gains = ClusterGains(baseline="copying", clusters=many, left_out=())
    found = shown(clusters=parts.clusters(gains))
    assert sum(bool(row) and row[0].startswith("cluster ") for row in found.rows) == MOST_DRAWN + 5
    assert f"{MOST_DRAWN} clusters" in found.values("alt")[0]


def test_without_clusters_the_section_says_why() -> None:
    assert "--cluster_key" in words(shown(clusters=parts.clusters(None)))
    small = parts.clusters(ClusterGains(baseline="copying", clusters=(), left_out=("a", HOSTILE)))
    found = shown(clusters=small)
    assert f"fewer than 10 current cells: a, {HOSTILE}" in words(found)
    assert not {"img", "script"} & set(found.tags)


def test_every_predictor_has_its_calibration(evaluation) -> None:
    section = parts.calibration(evaluation)
    found = shown(calibration=section)
    for name in (MODEL, *BASELINES):
        error = 100 * evaluation.rows[name].calibration.expected_error
        assert found.row(name)[0] == f"{error:.2f}"
    assert section["picture"].name == "calibration"
