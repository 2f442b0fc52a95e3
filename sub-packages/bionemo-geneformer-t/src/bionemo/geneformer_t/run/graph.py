"""`geneformer-t graph`: the quality of the graphs of successors in a data folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import POSITIONAL, Settings

if TYPE_CHECKING:
    from bionemo.geneformer_t.report.graph_report import SplitGraphs

FOLDER = "graph_report"
"""Folder of the report in a data folder, for `prepare` and this command."""


@dataclass(frozen=True, kw_only=True)
class GraphSettings(Settings):
    """The graphs to report on, and what is known about their cells."""

    data_dir: Path = field(metadata=POSITIONAL)
    """Data folder with train, val or test, or the folder of a single split."""
    output_dir: Path | None = None
    """Folder for graph_report.json and the figures; by default graph_report in the data folder."""
    neighbor_key: tuple[str, ...] | None = None
    """Names of the graphs; by default all graphs in neighbors.json, or in obsp if there is no such
    file."""
    time_key: str | None = None
    """Column of obs with the time (D6, E7.75, 16 weeks) or pseudotime of each cell. By default,
    this setting and time_order, batch_key, cluster_key and root are those that were given to
    prepare."""
    time_order: tuple[str, ...] | None = None
    """The time labels from early to late, if they are not numbers."""
    batch_key: str | None = None
    """Column of obs with the batch or donor of each cell."""
    cluster_key: str | None = None
    """Column of obs with the cluster or cell type of each cell; by default, time points are used as
    clusters."""
    root: str | None = None
    """The first cell, or the first cluster of cluster_key; by default the earliest cells."""
    use_rep: str | None = None
    """Array of obsm in which distances are computed; by default X_pca, or principal components of
    the counts if there is none."""
    pictures: bool = True
    """Draw a figure of each graph and split."""
    seed: int = 42
    """Random seed for the pairs of cells that edges are compared with, and for the cells that are
    drawn in the figure."""


@command(GraphSettings)
def graph(settings: GraphSettings) -> Path:
    """Report on the graphs of a data folder: a table, graph_report.json and figures.

    Returns the folder of the report.
    """
    import numpy as np

    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.stored_graphs import second_names, splits_or_one
    from bionemo.geneformer_t.data.write_folder import RECORD
    from bionemo.geneformer_t.report.graph_facts import stored_graphs
    from bionemo.geneformer_t.report.graph_report import write_graph_report

    folders = splits_or_one(settings.data_dir)
    stores = {name: CellStore.open(folder) for name, folder in folders.items()}
    options, lines = known_options(settings)
    splits = stored_graphs(stores, settings.neighbor_key, options, settings.use_rep)
    aliases = second_names([split.graphs for split in splits.values()])
    if settings.neighbor_key is None:
        splits = {name: _without(split, aliases) for name, split in splits.items()}
    _check_root(splits, settings.data_dir, options)
    output = settings.output_dir or settings.data_dir / FOLDER
    try:
        output.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise PermissionError(
            f"the report cannot be written to {output}; name another folder with output_dir"
        ) from error
    generator = np.random.default_rng(settings.seed)
    same_axes = (settings.data_dir / RECORD).is_file()  # `prepare` places all cells at once
    print(
        write_graph_report(
            output, splits, generator, pictures=settings.pictures, same_axes=same_axes
        )
    )
    lines += [f"{key} is the same graph as {other}" for key, other in aliases.items()]
    missing = [f"{what} ({option})" for option, what in _not_given(options).items()]
    if missing:
        lines.append(f"not measured: {', '.join(missing)}")
    lines.append(f"all measures{' and pictures' if settings.pictures else ''}: {output}")
    print("\n" + "\n".join(lines))
    return output


def known_options(settings: GraphSettings) -> tuple[dict[str, Any], list[str]]:
    """What is known about cells: what is given, else what is recorded in the data folder.

    Returns:
        Options as `recorded_options` names them, and a line about those that were recorded.
    """
    from bionemo.geneformer_t.data.stored_graphs import OPTIONS, recorded_options
    from bionemo.geneformer_t.data.write_folder import RECORD

    given = {name: getattr(settings, name) for name in OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    recorded = recorded_options(settings.data_dir)
    if "time_key" in given:
        recorded.pop("time_order", None)  # the order belongs to the recorded column
    taken = {name: value for name, value in recorded.items() if name not in given}
    if not taken:
        return given, []
    values = {k: " ".join(v) if isinstance(v, tuple) else v for k, v in taken.items()}
    options = " ".join(f"--{name} {value}" for name, value in values.items())
    return {**taken, **given}, [f"known from {RECORD}: {options}"]


def _without(split: "SplitGraphs", aliases: Mapping[str, str]) -> "SplitGraphs":
    graphs = {key: graph for key, graph in split.graphs.items() if key not in aliases}
    return replace(split, graphs=graphs)


def _check_root(
    splits: "Mapping[str, SplitGraphs]", data_dir: Path, options: Mapping[str, Any]
) -> None:
    root, cluster_key = options.get("root"), options.get("cluster_key")
    if root is None or any(split.facts.roots is not None for split in splits.values()):
        return
    where = f", and no cluster of {cluster_key!r}" if cluster_key else ""
    raise KeyError(
        f"root: {root!r} is not a cell of {data_dir}{where}; a root cluster needs cluster_key"
    )


def _not_given(options: Mapping[str, Any]) -> dict[str, str]:
    """Options that would add a measure, and what it measures."""
    wanted = {
        "time_key": "whether edges go forward in time",
        "cluster_key": "between which clusters edges run",
        "batch_key": "whether edges cross batches",
    }
    known = {*options, *(["cluster_key"] if "time_key" in options else [])}
    return {f"--{option}": what for option, what in wanted.items() if option not in known}


if __name__ == "__main__":
    main(graph)
