"""Skill by cluster: the model's gain over the best baseline where cells differ."""

from bionemo.geneformer_t.evaluate.by_cluster import LEAST_CELLS, ClusterGains
from bionemo.geneformer_t.report.figures.gains import GainPanel, gains_figure
from bionemo.geneformer_t.report.markup import paragraph, table
from bionemo.geneformer_t.report.numbers import gain, number, span
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture

_TITLE = "Skill by cluster"
MOST_DRAWN = 30
"""Clusters in the picture; the table holds all."""


def cluster_section(gains: ClusterGains | None) -> Section:
    """Gains in nats per position, with intervals over the cells and donors of the cluster.

    Args:
        gains: None where clusters are not known.
    """
    if gains is None or not gains.clusters:
        return Section(name="clusters", title=_TITLE, body=[paragraph(_why_not(gains))])
    found = gains.clusters
    picture = Picture.of(
        gains_figure(
            [one.cluster for one in found[:MOST_DRAWN]],
            [
                GainPanel(
                    title=f"over {gains.baseline}",
                    unit="gain in nats per position",
                    gains=[one.gain for one in found[:MOST_DRAWN]],
                )
            ],
        ),
        "skill_by_cluster",
        f"The model's gain over {gains.baseline} in each of {len(found[:MOST_DRAWN])} clusters; "
        "the table below holds the figures.",
    )
    rows = [
        [
            one.cluster,
            f"{one.num_cells:,}",
            number(one.model),
            number(one.baseline),
            gain(one.gain.mean),
            span(one.gain),
        ]
        for one in found
    ]
    text = (
        f"The best baseline over all cells is {gains.baseline}. Above zero, the model has the "
        "lower cross-entropy on the current cells of the cluster; blue lies wholly above zero, "
        "orange wholly below; grey is no better, or too few cells or donors to tell. Intervals are "
        "over the cluster's current cells, their next cells and donors."
    )
    if gains.left_out:
        text += (
            f" Left out, with fewer than {LEAST_CELLS} current cells: {', '.join(gains.left_out)}."
        )
    return Section(
        name="clusters",
        title=_TITLE,
        body=[
            paragraph(text),
            picture.shown(),
            table(
                [
                    ["", "current cells", "the model", "best baseline", "gain", "95 % interval"],
                    ["", "", "nats", "nats", "nats", "nats"],
                ],
                rows,
                caption="Cross-entropy by the cluster of the current cell",
            ),
        ],
        pictures=[picture],
    )


def _why_not(gains: ClusterGains | None) -> str:
    if gains is None:
        return "Clusters are not known: name a column of obs with --cluster_key."
    return f"Every cluster has fewer than {LEAST_CELLS} current cells: {', '.join(gains.left_out)}."
