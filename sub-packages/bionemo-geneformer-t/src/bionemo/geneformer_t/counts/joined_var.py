"""`var` of joined inputs: of one input all that it has, of several the id and symbol of each gene.

Other columns of `var` describe a gene in one input (how many cells express it, say) and would be
wrong of all. A symbol is that of the first input that has one for the gene.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bionemo.geneformer_t.counts.formats import InputFile
from bionemo.geneformer_t.counts.gene_names import OWN_COLUMN, OWN_SYMBOLS
from bionemo.geneformer_t.counts.joined_genes import JoinedGenes
from bionemo.geneformer_t.gene_lookup import is_stable_id, split_genome

if TYPE_CHECKING:
    import pandas as pd


def joined_var(
    files: Sequence[InputFile], genes: JoinedGenes
) -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """One row for each gene, and a note where inputs disagree about symbols.

    Args:
        files: The inputs.
        genes: Their genes.

    Returns:
        Rows are called as where each gene first appears; `feature_id` holds what it is called
        here. Of several inputs, `feature_name` holds its symbol, or the same as `feature_id` where
        no input has one.
    """
    import pandas as pd

    first_rows, seen = [], np.zeros(len(genes.names), dtype=bool)
    for file, columns in zip(files, genes.gene_of_column, strict=True):
        present, first = np.unique(columns, return_index=True)
        present, first = present[present >= 0], first[present >= 0]
        new = ~seen[present]
        seen[present] = True
        rows = file.var.iloc[first[new]]
        rows = rows if len(files) == 1 else rows[[]]
        first_rows.append((present[new], rows))
    order = np.argsort(np.concatenate([numbers for numbers, _ in first_rows]), kind="stable")
    var = pd.concat([rows for _, rows in first_rows]).iloc[order].copy()
    var[OWN_COLUMN] = list(genes.names)
    notes: tuple[str, ...] = ()
    if len(files) > 1:
        var[OWN_SYMBOLS], notes = joined_symbols(
            genes,
            [file.counts.genes.symbols for file in files],
            [str(file.path) for file in files],
        )
    var.index.name = None  # anndata writes no frame whose index has the name of a column
    if not var.index.is_unique:
        from anndata.utils import make_index_unique

        var.index = make_index_unique(pd.Index(var.index.astype(str)))
    return var, notes


def joined_symbols(
    genes: JoinedGenes, symbols: Sequence[Sequence[str]], inputs: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """The symbol of each gene in the first input that has one, else its name.

    Args:
        genes: The joined genes.
        symbols: For each input, the symbol of each of its columns; ids and blanks are none.
        inputs: What to call each input.

    Returns:
        The symbols, and a note on genes that another input has under another symbol.
    """
    found: dict[int, tuple[str, str]] = {}
    others: dict[int, tuple[str, str]] = {}
    for where, of_columns, columns in zip(inputs, symbols, genes.gene_of_column, strict=True):
        here: dict[int, set[str]] = {}
        for symbol, gene in zip(of_columns, columns.tolist(), strict=True):
            bare = split_genome(symbol)[1]
            if gene >= 0 and bare and not is_stable_id(bare):
                here.setdefault(gene, set()).add(bare)
                found.setdefault(gene, (bare, where))
        for gene, names in here.items():
            if found[gene][0] not in names:
                others.setdefault(gene, (min(names), where))
    of_gene = [found[i][0] if i in found else name for i, name in enumerate(genes.names)]
    if not others:
        return of_gene, ()
    gene, (other, where) = next(iter(others.items()))
    kept, first = found[gene]
    note = (
        f"{len(others):,} genes have another symbol in another input, for example "
        f"{genes.names[gene]}: {kept} in {first}, {other} in {where}. "
        f"var[{OWN_SYMBOLS!r}] has the first"
    )
    return of_gene, (note,)
