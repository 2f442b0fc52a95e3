import numpy as np
import pytest
from matplotlib.image import imread

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.next_cells import next_cells_figure
from bionemo.geneformer_t.report.figures.style import save


@pytest.fixture
def coordinates():
    return np.random.default_rng(0).normal(size=(50, 2))


@pytest.mark.parametrize(
    "colors", [None, np.arange(50.0), np.repeat(["a", "b"], 25)], ids=["none", "number", "label"]
)
def test_two_panels_are_drawn(colors, coordinates, tmp_path) -> None:
    cells = np.arange(30)
    arrows = Arrows(
        cells=cells,
        true_ends=coordinates[cells] + 0.1,
        predicted_ends=coordinates[cells] + 0.2,
        cosine=1.0,
        expected=np.zeros((30, 5), dtype=np.float16),
        num_ranks=3,
    )
    where = CellMap(coordinates=coordinates, name="UMAP", colors=colors, color_name="kind")
    path = save(next_cells_figure(arrows, where), tmp_path / "a.png")
    assert imread(path).shape[1] > 1000
