"""Expression of named genes, as pictures show it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.in_memory import BY_LAYER, chosen_matrix, whole_matrix
from bionemo.geneformer_t.counts.source import in_rows
from bionemo.geneformer_t.neighbors.expression_pca import log_normalised

if TYPE_CHECKING:
    import anndata


def gene_values(
    adata: "anndata.AnnData", names: Sequence[str], layer: str | None, *, use_raw: bool
) -> tuple[Float[ndarray, "cell gene"], str]:
    """Values of genes, and what they are: raw counts become log(1 + counts per 10,000).

    Raises:
        KeyError: No such gene, layer, or no raw.
        ValueError: A symbol stands for several genes, or there is no X.
    """
    where, matrix, var = chosen_matrix(adata, layer, use_raw=use_raw, options=BY_LAYER)
    columns = [_column(var, name, where) for name in names]
    values, unit = in_rows(whole_matrix(matrix), where), where.removeprefix("adata.")
    if (values.data >= 0).all() and (values.data == np.round(values.data)).all():
        values, unit = log_normalised(values), "log(1 + counts per 10,000)"
    chosen = sp.csc_array(values)[:, columns]
    return np.asarray(chosen.todense(), dtype=np.float64), unit


def _column(var: pd.DataFrame, name: str, where: str) -> int:
    """The column of a gene by its name in `var`, its id or its symbol."""
    index = var.index.astype(str)
    found = np.flatnonzero(index == name)
    if not len(found):
        known = name_genes(var, where)
        alike = [
            i
            for i, (gene, symbol) in enumerate(zip(known.names, known.symbols, strict=True))
            if name in {gene, symbol}
        ]
        found = np.array(alike, dtype=np.int64)
    if not len(found):
        raise KeyError(
            f"genes: {where} has no gene {name!r}; it has {len(index):,} such as "
            f"{', '.join(index[:3])}"
        )
    if len(found) > 1:
        raise ValueError(
            f"genes: {name!r} stands for {len(found)} genes: {', '.join(index[found[:5]])}; name "
            "one of them"
        )
    return int(found[0])
