from pages import HOSTILE, Page

from bionemo.geneformer_t.evaluate.by_cluster import ClusterGain, ClusterGains
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.report.cluster_section import MOST_DRAWN, cluster_section


def gain_in(cluster: str, mean: float) -> ClusterGain:
    interval = Interval(mean=mean, low=mean - 0.1, high=mean + 0.1)
    return ClusterGain(
        cluster=cluster, num_cells=1234, model=2.0, baseline=2.0 + mean, gain=interval
    )


def test_every_cluster_has_its_figures() -> None:
    gains = ClusterGains(
        baseline="copying", clusters=(gain_in(HOSTILE, 0.5), gain_in("b", -0.25)), left_out=("c",)
    )
    section = cluster_section(gains)
    page = Page(section.shown().text)
    assert page.row(HOSTILE) == ["1,234", "2.000", "2.500", "+0.500", "0.400 to 0.600"]
    assert page.row("b")[3] == "\N{MINUS SIGN}0.250"
    assert "fewer than 10 current cells: c." in "".join(page.text)
    assert [picture.name for picture in section.pictures] == ["skill_by_cluster"]


def test_the_table_holds_clusters_that_the_picture_has_no_room_for() -> None:
    many = tuple(gain_in(f"cluster {i}", 0.1) for i in range(MOST_DRAWN + 5))
    section = cluster_section(ClusterGains(baseline="copying", clusters=many, left_out=()))
    assert page_rows(section) == MOST_DRAWN + 5
    assert f"{MOST_DRAWN} clusters" in section.pictures[0].alt


def test_without_clusters_the_section_says_why() -> None:
    assert "--cluster_key" in cluster_section(None).shown().text
    small = ClusterGains(baseline="copying", clusters=(), left_out=("a", "b"))
    assert "fewer than 10 current cells: a, b" in cluster_section(small).shown().text
    assert not cluster_section(small).pictures


def page_rows(section) -> int:
    return sum(
        bool(row) and row[0].startswith("cluster ") for row in Page(section.shown().text).rows
    )
