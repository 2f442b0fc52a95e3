"""Every column of every input has one status, and all counts are accounted for."""

from pathlib import Path

import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.gene_names import name_genes
from bionemo.geneformer_t.counts.gene_status import gene_status, strongest, summary
from bionemo.geneformer_t.counts.joined_genes import (
    GeneChoice,
    GeneTable,
    join_genes,
    resolve_genes,
)

NAMES = GeneChoice(gene_names={"OCT4": "ENSG1", "POU5F1": "ENSG1"})


def resolve(
    var: pd.DataFrame, choice: GeneChoice | None = None, where: str = "the input"
) -> GeneTable:
    return resolve_genes(name_genes(var, where), choice, where)


def test_every_column_has_a_status() -> None:
    first = resolve(pd.DataFrame(index=["ENSG2", "OCT4", "POU5F1", "rest"]), NAMES)
    second = resolve(pd.DataFrame(index=["POU5F1", "other"]), NAMES)
    genes = join_genes([first, second])
    counts = [np.array([1.0, 2, 3, 4]), np.array([5.0, 5])]
    known = np.isin(genes.names, ["ENSG1", "ENSG2"])
    statuses = gene_status(genes, counts, known, [Path("a"), Path("b")])
    assert statuses["status"].tolist() == [
        "kept",
        "mapped",
        "merged",
        "dropped",
        "mapped",
        "dropped",
    ]
    assert statuses["gene"].tolist() == ["ENSG2", "ENSG1", "ENSG1", "rest", "ENSG1", "other"]
    table = summary(statuses)
    assert table["columns"].to_dict() == {
        "kept": 1, "mapped": 2, "merged": 1, "dropped": 2, "left out": 0,
    }  # fmt: skip
    assert table.loc["dropped", "share"] == 9 / 20
    assert table["share"].sum() == 1
    assert strongest(statuses, "dropped") == ["other", "rest"]


def test_symbols_stand_beside_ids() -> None:
    ids = ["ENSG00000000003", "ENSG00000000004.2", "ENSG00000000005"]
    table = resolve(pd.DataFrame({"feature_name": ["TSPAN6", np.nan, "TNMD"]}, index=ids))
    nothing = np.zeros(3, dtype=bool)
    statuses = gene_status(join_genes([table]), [np.array([3.0, 2, 1])], nothing, [Path("a")])
    assert statuses["name"].tolist() == ids
    assert statuses["symbol"].tolist() == ["TSPAN6", "", "TNMD"]
    assert strongest(statuses, "dropped", 2) == ["TSPAN6", ids[1]]


def test_what_is_no_gene_is_listed_with_its_reason() -> None:
    table = resolve(pd.DataFrame(index=["ERCC-00002", "A", "B"]))
    genes = join_genes([table])
    statuses = gene_status(genes, [np.array([6.0, 3, 1])], np.array([True, False]), [Path("a")])
    assert statuses["status"].tolist() == ["left out", "kept", "dropped"]
    assert statuses["gene"].tolist() == ["", "A", "B"]
    assert statuses["why"].tolist() == ["spike-ins", "", ""]
    assert statuses["share"].tolist() == [0.6, 0.3, 0.1]
