"""`geneformer-t prepare`: from raw counts to a data folder.

The order of the steps keeps the splits apart: cells are split first; genes, medians and principal
components are computed from the training cells; graphs are built within each split.

Counts are read block by block and are never all in memory. Memory grows with the names of the
cells, their columns of obs and their coordinates (0.3 kB a cell), and with the neighbor search, for
any number of genes. docs/prepare.md explains what to compute elsewhere if the data are too large.
"""

import logging
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.prepare.settings import ALIASES, PrepareSettings
from bionemo.geneformer_t.progress import progress_of_steps
from bionemo.geneformer_t.run.command import command, main

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

    from bionemo.geneformer_t.counts.join_inputs import InputCells
    from bionemo.geneformer_t.data.write_folder import SplitContent
    from bionemo.geneformer_t.prepare.cell_plan import CellPlan
    from bionemo.geneformer_t.prepare.graphs import SplitGraph

logger = logging.getLogger(__name__)

_NOT_RECORDED = {"input", "output_dir"}


@command(PrepareSettings)
def prepare(settings: PrepareSettings) -> Path:
    """Make a data folder from raw counts: splits, genes, medians and successors.

    Counts are read block by block, so the matrix of counts need not fit into memory. If the data
    are too large for one machine, compute coordinates or a graph elsewhere, for example with scanpy
    on Dask arrays or with rapids-singlecell on GPUs, and give them with --use_rep or --method
    precomputed.
    """
    from bionemo.geneformer_t.counts.formats import MatrixChoice
    from bionemo.geneformer_t.counts.gene_status import gene_status
    from bionemo.geneformer_t.counts.join_inputs import read_inputs
    from bionemo.geneformer_t.counts.joined_genes import GeneChoice
    from bionemo.geneformer_t.data import write_folder
    from bionemo.geneformer_t.data.content_hash import path_digest
    from bionemo.geneformer_t.prepare import summary
    from bionemo.geneformer_t.prepare.cell_plan import plan_cells
    from bionemo.geneformer_t.prepare.graphs import (
        build_graphs,
        points_of_cells,
    )
    from bionemo.geneformer_t.prepare.vocabulary import (
        check_mapped,
        known_genes,
        make_vocab,
        vocab_source,
    )
    from bionemo.geneformer_t.report.graph_facts import report_on_graphs
    from bionemo.geneformer_t.run.graph import FOLDER

    record = {
        "command": "prepare",
        "settings": _recorded(settings),
        "inputs": [path_digest(path) for path in settings.input],
    }
    if write_folder.is_done(settings.output_dir, record):
        names = ", ".join(map(str, settings.input))
        print(f"{settings.output_dir} was already prepared from {names}")
        return settings.output_dir
    source = vocab_source(settings)
    with (
        write_folder.new_data_folder(settings.output_dir, record) as folder,
        ExitStack() as stack,
        progress_of_steps("preparing", "reading counts", 7) as steps,
    ):
        scratch = folder / "scratch"
        cells = read_inputs(
            settings.input,
            scratch,
            stack,
            choice=MatrixChoice(
                layer=settings.layer,
                use_raw=settings.use_raw,
                round_counts=settings.round_counts,
            ),
            genes=GeneChoice(
                gene_names=source.gene_names,
                tokens=source.genes,
                genome=settings.genome,
                keep_spike_ins=settings.keep_spike_ins,
            ),
            min_shared_genes=settings.min_shared_genes,
        )
        logger.info("counts of %d cells x %d genes are on disk", *_shape(cells))
        steps.begin("vocabulary and medians")
        plan = plan_cells(cells, settings)
        vocab, notes = make_vocab(source, cells, plan.split == "train", settings)
        known = known_genes(cells.var, vocab)
        mapped_share = check_mapped(cells, known, vocab, settings)
        logger.info("vocabulary and medians are there")
        steps.begin("coordinates")
        points = points_of_cells(cells, plan, settings)
        logger.info("coordinates are there")
        steps.begin("graphs")
        graphs = build_graphs(cells, plan, points, settings)
        logger.info("graphs are there")
        steps.begin("writing splits")
        for name, split in build_splits(cells, plan, points, graphs, settings).items():
            write_folder.write_split(folder / name, split, vocab)
        statuses = gene_status(cells.genes, cells.counts_of_column, known, settings.input)
        statuses.to_csv(folder / summary.GENES, index=False, float_format="%.6g")
        shutil.rmtree(scratch)
        logger.info("splits are written")
        steps.begin("graph report")
        table = report_on_graphs(folder / FOLDER, cells, plan, points, graphs, settings)
        logger.info("the report is written")
        steps.begin("summary")
        report = summary.text(
            settings, cells, plan, graphs, statuses, known, vocab, mapped_share, table, notes
        )
    print(report)
    return settings.output_dir


def build_splits(
    cells: "InputCells",
    plan: "CellPlan",
    points: "Float[ndarray, 'cell component']",
    graphs: "Mapping[str, SplitGraph]",
    settings: PrepareSettings,
) -> "dict[str, SplitContent]":
    """The content of each split's folder; the axes of `obsm["X_pca"]` are from training cells."""
    import numpy as np

    from bionemo.geneformer_t.data.write_folder import SplitContent
    from bionemo.geneformer_t.neighbors.pseudotime_neighbors import DIFFUSION_PSEUDOTIME

    lengths = cells.counts.row_lengths
    contents = {}
    for name in plan.names:
        rows = plan.rows(name)
        obs = cells.obs.iloc[rows].copy()
        for column in obs.select_dtypes("category"):
            if not obs[column].cat.ordered:  # the levels of an ordered one are the order of times
                obs[column] = obs[column].cat.remove_unused_categories()
        pseudotime = graphs[name].pseudotime
        if pseudotime is not None:
            obs[DIFFUSION_PSEUDOTIME] = pseudotime
        obsm = {key: array.read(rows) for key, array in cells.obsm.items()}
        if settings.use_rep is None:
            obsm["X_pca"] = points[rows]
        contents[name] = SplitContent(
            obs=obs,
            var=cells.var,
            row_lengths=lengths[rows],
            blocks=partial(cells.counts.blocks, plan.split == name, f"writing {name}"),
            graphs=graphs[name].graphs,
            aliases=_aliases(settings),
            obsm=obsm,
            uns={
                key: {
                    "params": _params(method, settings),
                    "notes": np.array(graphs[name].notes[key], dtype=object),
                }
                for method, key in settings.keys.items()
            },
        )
    return contents


def _aliases(settings: PrepareSettings) -> dict[str, str]:
    return {ALIASES[key]: key for key in settings.keys.values() if key in ALIASES}


def _params(method: str, settings: PrepareSettings) -> dict[str, Any]:
    """How a graph was made, for `uns`, where None cannot be stored."""
    from dataclasses import fields

    from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings

    values = {field.name: getattr(settings, field.name) for field in fields(BuilderSettings)}
    values["use_rep"] = settings.use_rep or "X_pca"
    given = {name: value for name, value in values.items() if value is not None}
    return {
        "method": method,
        **{
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
        },
    }


def _recorded(settings: PrepareSettings) -> dict[str, Any]:
    """The settings that shape the folder; the inputs count by their content."""
    values = asdict(settings)
    return {name: values[name] for name in values if name not in _NOT_RECORDED}


def _shape(cells: "InputCells") -> tuple[int, int]:
    return cells.counts.num_cells, cells.counts.num_genes


if __name__ == "__main__":
    main(prepare)
