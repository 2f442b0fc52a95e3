"""True and predicted next cells side by side on a map."""

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.next_cells import next_cells_figure
from bionemo.geneformer_t.report.markup import paragraph
from bionemo.geneformer_t.report.numbers import number
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture


def arrow_section(arrows: Arrows, where: CellMap) -> Section:
    """Arrows from current cells to their true successors, and to what is predicted."""
    picture = Picture.of(
        next_cells_figure(
            arrows,
            where.coordinates,
            colors=where.colors,
            color_name=where.color_name,
            map_name=where.name,
        ),
        "next_cells",
        f"{where.name} of {len(where.coordinates):,} cells with mean arrows to true successors on "
        "the left and to predicted next cells on the right; mean cosine between the two "
        f"{number(arrows.cosine, 2)}.",
    )
    text = (
        "An arrow leads from current cells to the mean place of their true successors (left) and "
        "to the cells that look most like the predicted next cell (right)."
    )
    return Section(
        name="arrows",
        title="Predicted and true next cells",
        body=[paragraph(text), picture.shown()],
        pictures=[picture],
    )
