import numpy as np
from matplotlib.colors import to_rgb

from bionemo.geneformer_t.report.figures.style import CATEGORIES, category_colors


def test_thirty_labels_have_thirty_colours_the_first_ten_as_chosen() -> None:
    colors = category_colors(30)
    assert colors[:10] == list(CATEGORIES)
    assert len(set(colors)) == 30
    assert category_colors(31)[30] == colors[0]


def test_colours_of_thirty_labels_are_apart() -> None:
    values = np.array([to_rgb(color) for color in category_colors(30)])
    apart = np.linalg.norm(values[:, None] - values, axis=-1)[np.triu_indices(30, 1)]
    assert apart.min() > 0.09
