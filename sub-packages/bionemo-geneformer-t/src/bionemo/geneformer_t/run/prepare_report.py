"""What `prepare` did, for the terminal: cells, times, genes, edges, and the next step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    import anndata

    from bionemo.geneformer_t.run.data_folder import SplitContent
    from bionemo.geneformer_t.run.gene_table import GeneTable
    from bionemo.geneformer_t.run.prepare import PrepareSettings

_SHOWN = 5


def text(
    settings: "PrepareSettings",
    cells: "anndata.AnnData",
    times: Float[ndarray, " cell"],
    table: "GeneTable",
    vocab: GeneVocab,
    contents: "Mapping[str, SplitContent]",
    mapped_share: float,
    left_out: Mapping[str, int],
    notes: Sequence[str],
) -> str:
    """The whole report."""
    lines = [f"prepared {settings.input} -> {settings.output_dir}", ""]
    lines += _cells(settings, times, cells, contents)
    lines += [f"left out: {count:,} cells {why}" for why, count in left_out.items() if count]
    lines += ["", *_genes(cells, table, vocab, mapped_share)]
    lines += [f"note: {note}" for note in notes]
    lines += ["", *_edges(settings, contents)]
    lines += [
        "",
        f"next: geneformer-t train --data_dir {settings.output_dir} --output_dir OUTPUT_DIR"
        + ("" if _is_default(settings) else f" --neighbor_key {settings.neighbor_key}"),
    ]
    return "\n".join(lines)


def _cells(
    settings: "PrepareSettings",
    times: Float[ndarray, " cell"],
    cells: "anndata.AnnData",
    contents: "Mapping[str, SplitContent]",
) -> list[str]:
    """A table: one row for each time point, one column for each split."""
    labels = cells.obs[settings.time_key].astype(str).to_numpy()
    names = list(contents)
    width = max(len(settings.time_key), *(len(label) for label in labels)) + 2
    head = f"{settings.time_key:<{width}}{'time':>8}" + "".join(f"{name:>9}" for name in names)
    lines = [head]
    for time in np.unique(times):
        label = " ".join(dict.fromkeys(labels[times == time]))
        of_label = set(labels[times == time])
        counts = [
            int(split.cells.obs[settings.time_key].astype(str).isin(of_label).sum())
            for split in contents.values()
        ]
        lines.append(f"{label:<{width}}{time:>8g}" + "".join(f"{n:>9,}" for n in counts))
    totals = "".join(f"{split.cells.n_obs:>9,}" for split in contents.values())
    return [*lines, f"{'cells':<{width}}{'':>8}{totals}"]


def _genes(
    cells: "anndata.AnnData", table: "GeneTable", vocab: GeneVocab, mapped_share: float
) -> list[str]:
    known = vocab.encode(table.names) >= 0
    per_gene = np.asarray(cells.X.sum(axis=0), dtype=np.float64).ravel()
    lines = [
        f"genes: {len(table.gene_of_column):,} in the input, {table.num_merged:,} of them summed "
        f"into another of the same name; {len(table.names):,} kept",
        f"  {known.sum():,} are in the vocabulary of {len(vocab):,} tokens and hold "
        f"{mapped_share:.1%} of the counts",
    ]
    if not known.all():
        unknown = np.flatnonzero(~known)
        strongest = unknown[np.argsort(-per_gene[unknown], kind="stable")[:_SHOWN]]
        lines.append(
            f"  {int((~known).sum()):,} are not and will not be seen by the model; with most "
            f"counts: {', '.join(table.names[i] for i in strongest)}"
        )
    unmapped = int((~table.is_mapped).sum())
    if unmapped:
        lines.append(f"  {unmapped:,} have a name that the dictionary of gene names lacks")
    return lines


def _edges(settings: "PrepareSettings", contents: "Mapping[str, SplitContent]") -> list[str]:
    lines = [f"successors, {settings.neighbor_key!r}: nearest cells of the next time point"]
    for name, split in contents.items():
        graph = split.graphs[settings.neighbor_key]
        without = int((graph.out_degree == 0).sum())
        lines.append(
            f"  {name:<6}{graph.num_edges:>8,} edges; {without:,} cells without successors, those "
            "of the last time point"
        )
    return lines


def _is_default(settings: "PrepareSettings") -> bool:
    return settings.neighbor_key == "next_cell_ids"
