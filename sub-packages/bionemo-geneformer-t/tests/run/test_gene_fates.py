"""Every column of every input has one fate, and all counts are accounted for."""

from pathlib import Path

import numpy as np
import pandas as pd

from bionemo.geneformer_t.run.gene_fates import gene_fates, strongest, summary
from bionemo.geneformer_t.run.gene_table import join_genes, resolve_genes

NAMES = {"OCT4": "ENSG1", "POU5F1": "ENSG1"}


def test_fates() -> None:
    first = resolve_genes(pd.DataFrame(index=["ENSG2", "OCT4", "POU5F1", "rest"]), NAMES)
    second = resolve_genes(pd.DataFrame(index=["POU5F1", "other"]), NAMES)
    genes = join_genes([first, second])
    counts = [np.array([1.0, 2, 3, 4]), np.array([5.0, 5])]
    known = np.isin(genes.names, ["ENSG1", "ENSG2"])
    fates = gene_fates(genes, counts, known, [Path("a"), Path("b")])
    assert fates["fate"].tolist() == ["kept", "mapped", "merged", "dropped", "mapped", "dropped"]
    assert fates["gene"].tolist() == ["ENSG2", "ENSG1", "ENSG1", "rest", "ENSG1", "other"]
    table = summary(fates)
    assert table["columns"].to_dict() == {"kept": 1, "mapped": 2, "merged": 1, "dropped": 2}
    assert table.loc["dropped", "share"] == 9 / 20
    assert table["share"].sum() == 1
    assert strongest(fates, "dropped") == ["other", "rest"]
