import numpy as np
from matplotlib.text import Text

from bionemo.geneformer_t.report.figures.point_labels import label_points
from bionemo.geneformer_t.report.figures.style import new_figure

NAMES = [f"Gene{i}" for i in range(40)]


def labelled(places, names=NAMES):
    axes = new_figure(5, 4).subplots()
    axes.scatter(*places.T)
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    return axes, label_points(axes, places, names[: len(places)])


def boxes_of(axes, texts):
    axes.figure.draw_without_rendering()
    renderer = axes.figure.canvas.get_renderer()
    return [Text.get_window_extent(text, renderer) for text in texts]


def test_names_cover_neither_names_nor_points_nor_the_edge() -> None:
    places = np.random.default_rng(0).normal(scale=0.3, size=(25, 2))
    axes, texts = labelled(places)
    boxes, panel = boxes_of(axes, texts), axes.get_window_extent()
    assert len(boxes) >= 20
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*dot) for dot in axes.transData.transform(places))
        assert panel.x0 <= box.x0 < box.x1 <= panel.x1
        assert panel.y0 <= box.y0 < box.y1 <= panel.y1


def test_the_first_names_are_placed_and_those_without_room_left_out() -> None:
    axes, texts = labelled(np.zeros((40, 2)))
    written = [text.get_text() for text in texts]
    assert written[0] == "Gene0"
    assert 5 < len(written) < 40
    assert [text.get_text() for text in axes.texts] == written


def test_a_lone_name_is_beside_its_point_without_a_line() -> None:
    axes, texts = labelled(np.array([[0.0, 0.0]]))
    box = boxes_of(axes, texts)[0]
    x, y = axes.transData.transform((0, 0))
    assert 0 < box.x0 - x < 15
    assert box.y0 < y < box.y1
    assert not texts[0].arrow_patch.get_visible()


def test_of_no_points_nothing_is_written() -> None:
    assert labelled(np.zeros((0, 2)))[1] == []
