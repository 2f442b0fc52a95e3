"""Where pictures are drawn, and what becomes of them: `ax`, `show` and `save` of every function."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from bionemo.geneformer_t.report.figures.style import as_plain_text, write


@contextmanager
def canvas(
    number: int,
    ax: Any,
    size: tuple[float, float],
    *,
    show: bool,
    save: Path | str | None,
    columns: int = 4,
) -> Iterator[list[Any]]:
    """Panels to draw on; they are saved and shown when the context ends well.

    A figure that is opened here is closed again where drawing fails, and after it is saved or
    shown; otherwise it stays pyplot's current one, as scanpy's do. Settings of Matplotlib and the
    current axes of a caller who gives `ax` stay as they are.

    Args:
        number: Panels that are wanted.
        ax: Axes to draw on, one for each panel; None opens a figure.
        size: Width and height of a panel, in inches.
        show: Show the figure.
        save: File to write.
        columns: Panels beside each other.

    Raises:
        TypeError: `ax` is no Axes, or `save` no name.
        ValueError: `ax` has another number of Axes, `save` no ending, or there is no panel.
    """
    if number < 1:
        raise ValueError("there is nothing to draw: name one fate or gene at least")
    if columns < 1:
        raise ValueError(f"ncols must be at least 1; got {columns}")
    path = _path(save)
    given = _given(ax, number)
    figure, panels = (None, given) if given is not None else _opened(number, size, columns)
    figures = list(dict.fromkeys(panel.figure.get_figure(root=True) for panel in panels))
    before = {axes for one in figures for axes in one.axes} - set(panels)
    try:
        yield panels
        for axes in (axes for one in figures for axes in one.axes if axes not in before):
            as_plain_text(axes)
        if path is not None:
            write(figures[0], path)
        if show:
            _show()
    except BaseException:
        _close(figure)
        raise
    if show or path is not None:
        _close(figure)


def shown(panels: list[Any], *, show: bool) -> Any:
    """What a function returns: Axes, a list of several, or None where they have been shown."""
    if show:
        return None
    return panels[0] if len(panels) == 1 else panels


def _path(save: Path | str | None) -> Path | None:
    if save is None:
        return None
    if not isinstance(save, str | Path):
        raise TypeError(f"save: expected a file name; got {save!r}")
    path = Path(save)
    if not path.suffix:
        raise ValueError(
            f"save: expected a file name with an ending, such as .png, .pdf or .svg; got {save!r}"
        )
    return path


def _given(ax: Any, number: int) -> list[Any] | None:
    if ax is None:
        return None
    panels = list(ax) if isinstance(ax, Sequence) or hasattr(ax, "ravel") else [ax]
    panels = list(ax.ravel()) if hasattr(ax, "ravel") else panels
    strange = next((panel for panel in panels if not isinstance(panel, Axes)), None)
    if strange is not None:
        raise TypeError(f"ax: expected Axes of Matplotlib; got {type(strange).__name__}")
    if len(panels) != number:
        raise ValueError(
            f"ax: the picture has {number} panel(s); got {len(panels)} Axes. Give as "
            "many, or leave ax out"
        )
    return panels


def _opened(number: int, size: tuple[float, float], columns: int) -> tuple[Any, list[Any]]:
    import matplotlib.pyplot as plt

    down = -(-number // columns)
    across = -(-number // down)  # rows of nearly the same length
    figure = plt.figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[number:]:
        axes.remove()
    return figure, list(panels[:number])


def _show() -> None:
    import matplotlib.pyplot as plt

    plt.show()


def _close(figure: Any) -> None:
    if figure is not None:
        import matplotlib.pyplot as plt

        plt.close(figure)
