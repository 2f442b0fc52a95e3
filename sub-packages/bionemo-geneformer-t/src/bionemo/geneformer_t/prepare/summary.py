"""What `prepare` did, for the terminal: cells, times, genes, edges, and the next step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_status import DROPPED, strongest, summary
from bionemo.geneformer_t.prepare.graphs import CROSSING, NO_EDGES
from bionemo.geneformer_t.prepare.settings import ALIASES
from bionemo.geneformer_t.table import Table, wrapped
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    import pandas as pd

    from bionemo.geneformer_t.counts.join_inputs import InputCells
    from bionemo.geneformer_t.prepare.cell_plan import CellPlan
    from bionemo.geneformer_t.prepare.graphs import SplitGraph
    from bionemo.geneformer_t.prepare.settings import PrepareSettings

GENES = "genes.csv"
"""File of the data folder with the status of every column."""
_MOST_TIMES = 40


def text(
    settings: "PrepareSettings",
    cells: "InputCells",
    plan: "CellPlan",
    graphs: "Mapping[str, SplitGraph]",
    statuses: "pd.DataFrame",
    known: Bool[ndarray, " gene"],
    vocab: GeneVocab,
    mapped_share: float,
    graph_table: str,
    notes: Sequence[str],
) -> str:
    """The whole report."""
    inputs = ", ".join(map(str, settings.input))
    lines = [f"prepared {inputs} -> {settings.output_dir}", ""]
    lines += _cells(settings, cells, plan)
    lines += [f"left out: {count:,} cells {why}" for why, count in plan.left_out.items() if count]
    lines += [line for text in _copies(settings, plan) for line in wrapped(text)]
    lines += ["", *_genes(cells, statuses, int(known.sum()), len(vocab), mapped_share)]
    lines += ["", *_edges(settings, graphs, graph_table)]
    said = [*cells.notes, *notes, *_cautions(settings, cells, plan)]
    said += _notes_on_graphs(graphs)
    lines += [line for note in said for line in wrapped(f"note: {note}")]
    lines += ["", _next(settings)]
    return "\n".join(lines)


def _cells(settings: "PrepareSettings", cells: "InputCells", plan: "CellPlan") -> list[str]:
    """A table: a row for each time point (or group, or cluster) and a column for each split."""
    key = settings.time_key or settings.split_by or settings.cluster_key
    totals = [f"{len(plan.rows(name)):,}" for name in plan.names]
    if key is None:
        return [Table(head=[["", *plan.names]], rows=[["cells", *totals]]).text()]
    labels = cells.obs[key].astype(str).str.strip().to_numpy(dtype=np.str_)
    distinct = np.unique(labels[plan.split != ""]).tolist()
    time_of = {}
    if settings.time_key is not None and plan.times is not None:
        time_of = dict(zip(labels, plan.times, strict=True))
        distinct = sorted(distinct, key=time_of.__getitem__)
    rows = []
    for label in distinct[:_MOST_TIMES]:
        there = labels == label
        numbers = [f"{int((there & (plan.split == name)).sum()):,}" for name in plan.names]
        rows.append([label, *([f"{time_of[label]:g}"] if time_of else []), *numbers])
    if len(distinct) > _MOST_TIMES:
        rows.append([f"... and {len(distinct) - _MOST_TIMES} more"] + [""] * (len(rows[0]) - 1))
    rows.append(["cells", *([""] if time_of else []), *totals])
    head = [key, *(["time"] if time_of else []), *plan.names]
    return [Table(head=[head], rows=rows).text()]


def _copies(settings: "PrepareSettings", plan: "CellPlan") -> list[str]:
    """Held-out cells that training, or an earlier split, holds as well."""
    if not plan.copies.number:
        return []
    done = {
        "keep": "they are kept; --duplicates drop leaves them out",
        "drop": "they were left out",
        "move": "they were moved there",
    }
    examples = ", ".join(f"{copy} = {original}" for copy, original in plan.copies.examples)
    return [
        f"copies: {plan.copies.number:,} held-out cells have exactly the counts of a cell in an "
        f"earlier split ({examples}); {done[settings.duplicates]}"
    ]


def _genes(
    cells: "InputCells", statuses: "pd.DataFrame", known: int, num_tokens: int, mapped_share: float
) -> list[str]:
    found = summary(statuses)
    remarks = {
        "mapped": "to another name, such as a symbol to its id",
        "merged": "summed into another column of the same gene",
        "left out": "not genes of these cells; counted in no total, see the notes",
        "dropped": f"not in the vocabulary; most counts: {', '.join(strongest(statuses, DROPPED))}",
    }
    rows = [
        [str(status), f"{int(row['columns']):,}", f"{row['share']:.1%}",
         remarks.get(str(status), "")]
        for status, row in found[found["columns"] > 0].iterrows()
    ]  # fmt: skip
    table = Table(head=[["genes", "columns", "of counts", ""]], rows=rows, left=(0, 3))
    lines = [table.text()]
    lines += [
        f"{known:,} of {len(cells.genes.names):,} genes are in the vocabulary of {num_tokens:,} "
        f"tokens and hold {mapped_share:.1%} of the counts",
        f"every column: {GENES}",
    ]
    partly = int((cells.genes.num_inputs < len(cells.genes.tables)).sum())
    if partly:
        lines.append(f"{partly:,} genes are not in all inputs; where they are not, they count 0")
    return lines


def _edges(
    settings: "PrepareSettings", graphs: "Mapping[str, SplitGraph]", table: str
) -> list[str]:
    """The measures of each graph, and the edges that were cut."""
    lines = [table, ""]
    for method, key in settings.keys.items():
        cut = {name: graph.dropped.get(key, {}).get(CROSSING, 0) for name, graph in graphs.items()}
        if any(cut.values()):
            number = ", ".join(f"{count:,} from {name}" for name, count in cut.items())
            lines.append(f"{key}: edges cut because they led out of their split: {number}")
        if key in ALIASES:
            lines.append(f"{key}: found by {method}, also named {ALIASES[key]}")
    return lines


def _notes_on_graphs(graphs: "Mapping[str, SplitGraph]") -> list[str]:
    """All of the training graphs'; of the others, which say much the same, where one is missing."""
    return [
        f"{key}, {name}: {note}"
        for name, split in graphs.items()
        for key, notes in split.notes.items()
        for note in notes
        if name == "train" or note.startswith(NO_EDGES)
    ]


def _cautions(settings: "PrepareSettings", cells: "InputCells", plan: "CellPlan") -> list[str]:
    """What the splits cannot guard against."""
    said = []
    if settings.use_rep is not None:
        said.append(
            f"obsm[{settings.use_rep!r}] was computed before the split, perhaps from all cells; "
            "only coordinates that prepare computes itself are sure to know training cells alone"
        )
    elif "X_pca" in cells.obsm:
        said.append("obsm['X_pca'] is now the one whose axes come from training cells")
    if "precomputed" in settings.methods:
        said.append(
            f"obsp[{settings.obsp_key!r}] was computed before the split, perhaps from all cells; "
            "edges that cross a split are cut, but weights may know held-out cells"
        )
    if settings.split_by is not None and settings.split_by == settings.time_key:
        said.append(
            "held-out time points have current cells from the time point beside them, which "
            "training lacks; training links the time points on both sides of one directly"
        )
    if plan.names == ["train"]:
        said.append("all cells are training cells: there is nothing to validate or test on")
    return said


def _next(settings: "PrepareSettings") -> str:
    keys = list(settings.keys.values())
    option = "" if "next_cell_ids" in keys else f" --neighbor_key {keys[0]}"
    return (
        f"next: geneformer-t train --recipe auto --data_dir {settings.output_dir} "
        f"--output_dir OUTPUT_DIR{option}"
    )
