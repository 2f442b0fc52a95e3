"""What became of each gene of the inputs, and how many counts it carries.

A column is *kept* under its own name, *mapped* to another one (a symbol to its Ensembl id, a
versioned id to the id), *merged* into an earlier column of the same gene, or *dropped*: its gene
is not in the vocabulary, so the model never sees it. Dropped genes stay in data.h5ad, because
the total count of a cell includes them. What is no gene of these cells (an antibody, a spike-in, a
gene of another genome, a column without name) is *left out* of data.h5ad and of all totals.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.counts.joined_genes import JoinedGenes
from bionemo.geneformer_t.gene_lookup import is_stable_id

if TYPE_CHECKING:
    import pandas as pd

KEPT, MAPPED, MERGED, DROPPED, LEFT_OUT = STATUSES = (
    "kept", "mapped", "merged", "dropped", "left out",
)  # fmt: skip


def gene_status(
    genes: JoinedGenes,
    counts_of_column: Sequence[Float[ndarray, " _"]],
    in_vocabulary: Bool[ndarray, " gene"],
    inputs: Sequence[Path],
) -> "pd.DataFrame":
    """One line for each column of each input.

    Args:
        genes: The genes of the inputs.
        counts_of_column: For each input, the counts of each of its columns.
        in_vocabulary: Which genes the model sees.
        inputs: Where they come from.
    """
    import pandas as pd

    frames = []
    for table, columns, counts, path in zip(
        genes.tables, genes.gene_of_column, counts_of_column, inputs, strict=True
    ):
        is_gene = columns >= 0
        names = np.where(is_gene, np.array(genes.names, dtype=object)[columns], "")
        given = np.array(table.given, dtype=object)
        status = np.where(given == names, KEPT, MAPPED).astype(object)
        is_first = np.zeros(len(columns), dtype=bool)
        is_first[np.unique(columns, return_index=True)[1]] = True
        status[~is_first] = MERGED
        status[~in_vocabulary[columns]] = DROPPED
        status[~is_gene] = LEFT_OUT
        frames.append(
            pd.DataFrame(
                {
                    "input": str(path),
                    "name": given,
                    "symbol": ["" if is_stable_id(name) else name for name in table.readable],
                    "gene": names,
                    "status": status,
                    "counts": np.rint(counts).astype(np.int64),
                    "num_inputs": np.where(is_gene, genes.num_inputs[columns], 0),
                    "why": table.left_out,
                }
            )
        )
    statuses = pd.concat(frames, ignore_index=True)
    statuses["share"] = statuses["counts"] / max(1, int(statuses["counts"].sum()))
    return statuses


def summary(statuses: "pd.DataFrame") -> "pd.DataFrame":
    """Columns and fraction of all counts of each status."""
    grouped = statuses.groupby("status")
    found = grouped.agg(columns=("name", "size"), share=("share", "sum"))
    return found.reindex(list(STATUSES), fill_value=0)


def strongest(statuses: "pd.DataFrame", status: str, number: int = 5) -> list[str]:
    """The symbols, or else names, of that status with most counts."""
    chosen = statuses[statuses["status"] == status].sort_values(
        "counts", ascending=False, kind="stable"
    )
    chosen = chosen.drop_duplicates("name").head(number)
    return [symbol or name for symbol, name in zip(chosen["symbol"], chosen["name"], strict=True)]
