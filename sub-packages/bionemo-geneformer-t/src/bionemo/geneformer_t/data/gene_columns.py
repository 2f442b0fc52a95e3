"""What the columns of a matrix are called, by the `var` of their file: the same for all readers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy import ndarray

GENE_ID_COLUMNS = ("feature_id", "ensembl_id")
"""Columns of `var` that name genes for the vocabulary, before `var_names` do."""
SYMBOL_COLUMNS = ("feature_name", "gene_symbol", "gene_name")
"""Columns of `var` that hold a second name of each gene, where its index holds ids."""
TYPE_COLUMNS = ("feature_types", "feature_type")
GENE_EXPRESSION = "Gene Expression"
"""The type of genes, where types are given; antibodies, guides and peaks are no genes."""


@dataclass(frozen=True, kw_only=True)
class GeneColumns:
    """The columns of a matrix that are genes."""

    kept: Bool[ndarray, " column"]
    """Which columns of the matrix they are."""
    names: tuple[str, ...]
    """What the vocabulary may know each of them by."""
    symbols: tuple[str, ...]
    """The second name of each, to fall back on."""
    notes: tuple[str, ...]
    """What was left out, for the reader."""


def gene_columns(var: pd.DataFrame, where: str) -> GeneColumns:
    """Say which columns are genes, and how they are called.

    Raises:
        ValueError: None is.
    """
    kept, notes = _genes_by_type(var, where)
    var = var.loc[kept] if not kept.all() else var
    index = _texts(var.index)
    named = next((column for column in GENE_ID_COLUMNS if column in var), None)
    names = index if named is None else _texts(var[named])
    second = next((column for column in SYMBOL_COLUMNS if column in var), None)
    symbols = index if named is not None or second is None else _texts(var[second])
    return GeneColumns(kept=kept, names=names, symbols=symbols, notes=notes)


def _genes_by_type(
    var: pd.DataFrame, where: str
) -> tuple[Bool[ndarray, " column"], tuple[str, ...]]:
    column = next((name for name in TYPE_COLUMNS if name in var), None)
    if column is None:
        return np.ones(len(var), dtype=bool), ()
    types = var[column].astype(str)
    kept = np.asarray(types == GENE_EXPRESSION)
    others = ", ".join(f"{count:,} {kind!r}" for kind, count in types[~kept].value_counts().items())
    if not kept.any() and len(var):
        raise ValueError(
            f"{where}: none of the {len(var):,} features is of type {GENE_EXPRESSION!r}; the types "
            f"found are: {others}. Give the matrix of gene expression, or name its genes "
            f"{GENE_EXPRESSION!r} (in the third column of features.tsv, or in var[{column!r}])"
        )
    if kept.all():
        return kept, ()
    left_out = int((~kept).sum())
    note = (
        f"{where}: {left_out:,} features are not of type {GENE_EXPRESSION!r} ({others}); left out"
    )
    return kept, (note,)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(pd.Series(values).astype(str))
