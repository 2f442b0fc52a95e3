"""Human cells, prepared with Geneformer's dictionaries, get the ids of Geneformer's tokeniser."""

import pickle

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.run.prepare import prepare

LONGEST = 2_048
TARGET_SUM = 10_000


def load(path):
    """One of the published pickles; some hold NumPy scalars, and all are trusted here."""
    return pickle.loads(path.read_bytes())


def published_ids(counts, genes, ids, medians):
    """The formula as published, with dictionaries and loops: normalise, divide, sort, look up.

    Returns the rank value of each id that the cell expresses.
    """
    total = counts.sum()
    summed: dict[str, float] = {}
    for column in np.flatnonzero(counts):
        gene = genes[column]
        if gene in ids and gene in medians:
            summed[gene] = summed.get(gene, 0.0) + float(counts[column])
    return {ids[gene]: count / total * TARGET_SUM / medians[gene] for gene, count in summed.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "time"), [("ipsc_cm_human", "day"), ("fetal_neocortex_human", "week")]
)
def test_human_cells_get_the_ids_of_the_published_formula(real_data, tmp_path, name, time):
    folder = real_data / "geneformer_dictionaries"
    prepare(
        input=real_data / f"{name}.h5ad",
        output_dir=tmp_path / "data",
        time_key=time,
        vocab="geneformer-gc30M",
        dictionaries=folder,
        pictures=False,
    )
    cells = anndata.read_h5ad(real_data / f"{name}.h5ad")
    counts = sp.csr_matrix(cells.X)
    row_of = {cell: row for row, cell in enumerate(cells.obs_names)}
    ensembl = load(folder / "gene_name_id_dict_gc30M.pkl")
    in_capitals = {symbol.upper(): gene for symbol, gene in ensembl.items()}  # as some data are
    genes = [ensembl.get(symbol) or in_capitals.get(symbol, symbol) for symbol in cells.var_names]
    ids = load(folder / "token_dictionary_gc30M.pkl")
    medians = load(folder / "gene_median_dictionary_gc30M.pkl")

    data = TemporalGeneformerDataModule(tmp_path / "data", objective="mlm", seq_length=LONGEST + 2)
    compared = 0
    for split in (data.train, data.val, data.test):
        store = split.tokens.store
        for row, cell in enumerate(store.cell_ids):
            dense = counts[row_of[cell]].toarray()[0].astype(np.float64)
            value_of = published_ids(dense, genes, ids, medians)
            expected = sorted(value_of, key=lambda token: -value_of[token])[:LONGEST]
            mine = split.tokens.encode(row)[:LONGEST]
            values = np.array([value_of[token] for token in mine.tolist()])
            # Genes of equal rank value have no order of their own: values must agree rank by rank,
            # and no gene may stand twice. Rounding of the formula is far below 1e-10.
            np.testing.assert_allclose(values, [value_of[t] for t in expected], rtol=1e-10)
            assert len(set(mine.tolist())) == len(mine) == len(expected)
            compared += 1
    assert compared == cells.n_obs
