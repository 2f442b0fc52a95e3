"""A hand-made folder with features that are no genes is read alike by training and prediction."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.counts.formats import open_input
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.gene_coverage import known_fraction, notes_on_left_out
from bionemo.geneformer_t.data.token_encoder import TokenEncoder
from bionemo.geneformer_t.vocab import GeneVocab

OTHERS = {
    "AB_CD4": "CD4", "AB_of_a_gene": "ENSG00000000003", "ERCC-00002": "", "nan-1": "nan",
    "__no_feature": "__no_feature", "-": None,
}  # fmt: skip


def test_training_and_prediction_read_the_same_genes_and_totals(
    tiny_data_dir: Path,
) -> None:
    split = tiny_data_dir / "train"
    vocab = GeneVocab.read(split / "geneformer.vocab", split / "medians.json")
    settings, cells = PairSettings(seq_length=64), np.arange(40)
    genes_alone = CellTokens(CellStore.open(split), vocab, settings)
    expected, totals = genes_alone.rows_of(cells), genes_alone.store.total_counts.copy()
    data = anndata.read_h5ad(split / "data.h5ad")
    var = pd.DataFrame({"gene_ids": [*data.var["feature_id"], *OTHERS.values()]})
    var.index = [*data.var_names, *OTHERS]
    var.loc["GENE5", "gene_ids"] = np.nan  # found by its symbol
    var["type"] = ["Gene Expression"] * 30 + ["Antibody Capture"] * 2 + ["Gene Expression"] * 4
    counts = np.c_[data.X.toarray(), np.full((40, 6), 9)].astype(np.float32)
    anndata.AnnData(sp.csr_matrix(counts), obs=data.obs, var=var).write_h5ad(split / "data.h5ad")
    wanted = [row.tolist() for row in expected]
    with open_input(split / "data.h5ad") as given:  # as prediction reads it
        encoder = TokenEncoder(given.counts, given.counts.where, vocab, settings)
        blocks = [block.counts for block in given.counts.blocks()]
    read = [encoder.encode(b.data, b.indices, np.diff(b.indptr)).rows() for b in blocks]
    assert [row.tolist() for rows in read for row in rows] == wanted
    store = CellStore.open(split)
    tokens = CellTokens(store, vocab, settings)
    assert [row.tolist() for row in tokens.rows_of(cells)] == wanted
    known = [known_fraction(t.store, t.token_of_column) for t in (tokens, genes_alone)]
    assert known[0] == known[1]
    assert (store.total_counts == totals + 9).all()  # spike-ins stay, for models that know them
    notes = notes_on_left_out(store, tokens.token_of_column)
    assert [note.split(": ")[1].split(" (")[0].split(",")[0] for note in notes] == [
        "2 features of type Antibody Capture",
        "1 spike-ins",
        "2 columns without id and symbol",
        "1 features of type summary of reads",
    ]
