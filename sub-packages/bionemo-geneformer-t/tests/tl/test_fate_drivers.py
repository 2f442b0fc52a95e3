"""`gft.tl.drivers`: a table of genes and fates, and sentences on what it is about."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.run.simulate import to_anndata
from bionemo.geneformer_t.simulated_fates import FateSettings, simulate_fates
from bionemo.geneformer_t.tl import drivers

COLUMNS = ["fate", "gene", "symbol", "effect", "p_value", "fdr", "cells", "units", "permutations"]
FEW = {"num_permutations": 100, "max_permutations": 100}


@pytest.fixture
def cells() -> anndata.AnnData:
    settings = FateSettings(
        num_cells=600, num_genes=60, num_switch_genes=2, num_donors=5, counts_per_cell=300.0
    )
    cells = to_anndata(simulate_fates(settings, np.random.default_rng(0)))
    cells.obsm["fates"] = cells.obsm["true_fates"]
    return cells


def said(cells: anndata.AnnData) -> str:
    return "\n".join(cells.uns["fate_drivers_params"]["notes"])


def test_a_row_for_each_fate_and_gene(cells: anndata.AnnData) -> None:
    before = cells.X.copy()
    table = drivers(cells, cluster_key="branch", **FEW)
    assert list(table.columns) == COLUMNS
    assert set(table["fate"]) == {"B", "A1", "A2"}
    assert not table.duplicated(["fate", "gene"]).any()
    assert set(table["gene"]) <= set(cells.var_names)
    assert table["effect"].between(-1, 1).all()
    assert table["p_value"].between(1 / 101, 1).all()
    for _, rows in table.groupby("fate"):
        assert rows["p_value"].is_monotonic_increasing
        assert (rows["units"] == rows["units"].iloc[0]).all()
    assert table["units"].max() < 600  # cells in leaves have one fate and are not compared
    assert (before != cells.X).nnz == 0
    untested = 60 - table["gene"].nunique()
    assert f"{untested} of 60 genes are expressed in fewer than 10" in said(cells)
    assert "units: 600 cells" in said(cells)
    assert "not about further donors" in said(cells)
    assert "least possible p-value is 0.0099" in said(cells)


def test_the_table_is_in_uns_and_survives_a_file(cells: anndata.AnnData, tmp_path) -> None:
    table = drivers(cells, cluster_key="branch", donor_key="donor", **FEW)
    assert cells.uns["fate_drivers"] is table
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(again.uns["fate_drivers"], table, check_dtype=False)
    params = again.uns["fate_drivers_params"]
    assert list(params["notes"]) == list(cells.uns["fate_drivers_params"]["notes"])
    assert (list(params["cluster_key"]), params["donor_key"]) == (["branch"], "donor")
    assert params["num_permutations"] == 100
    # a file that is read when needed, and other names, give the same
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    other = drivers(
        backed,
        cluster_key="branch",
        donor_key="donor",
        fates_key="true_fates",
        key_added="x",
        **FEW,
    )
    pd.testing.assert_frame_equal(other, table)


def test_values_are_rank_values_and_not_counts(cells: anndata.AnnData) -> None:
    """A cell sequenced twice as deep has the same rank values."""
    table = drivers(cells, cluster_key="branch", depth_bins=1, **FEW)
    deeper = np.where(np.arange(600) % 2, 3, 1)  # thirds are no floats
    cells.layers["deeper"] = sp.csr_matrix(cells.X.multiply(deeper[:, None]))
    again = drivers(cells, cluster_key="branch", depth_bins=1, layer="deeper", **FEW)
    # sorted by depth, cells of a stratum come in another order, and so do sums and permutations
    by_gene = [found.set_index(["fate", "gene"])["effect"].sort_index() for found in (table, again)]
    pd.testing.assert_series_equal(*by_gene, atol=1e-6)


def test_expected_counts_are_rounded_and_that_is_said(cells: anndata.AnnData) -> None:
    whole = drivers(cells, "B", cluster_key="branch", **FEW)
    cells.layers["expected"] = cells.X * 1.0
    cells.layers["expected"].data[::10] += 0.25
    table = drivers(cells, "B", cluster_key="branch", layer="expected", round_counts=True, **FEW)
    pd.testing.assert_frame_equal(table, whole)
    params = cells.uns["fate_drivers_params"]
    assert "rounded" in params["notes"][0]
    assert params["round_counts"] is True


def test_symbols_are_given_where_they_are_known(cells: anndata.AnnData) -> None:
    cells.var["feature_name"] = [f"GENE{i}" for i in range(60)]
    cells.var.loc[cells.var_names[3], "feature_name"] = cells.var_names[3]
    table = drivers(cells, "B", cluster_key="branch", **FEW).set_index("gene")
    assert set(table["fate"]) == {"B"}
    for number, gene in enumerate(cells.var_names):
        if gene in table.index:
            assert table.loc[gene, "symbol"] == (gene if number == 3 else f"GENE{number}")


def test_the_units_are_donors_where_they_are_named(
    cells: anndata.AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        table = drivers(cells, cluster_key="branch", donor_key="donor", **FEW)
    assert table["units"].max() == 5
    assert "units: 5 donors" in caplog.text
    assert "no donors are given" not in said(cells)


def test_three_donors_have_effects_and_a_warning(
    cells: anndata.AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    few = cells[cells.obs["donor"].isin(["donor_1", "donor_2", "donor_3"])].copy()
    table = drivers(few, cluster_key="branch", donor_key="donor", **FEW)
    assert table["effect"].notna().all()
    assert table[["p_value", "fdr"]].isna().all(axis=None)
    warning = "3 donors are too few for p-values, which need 4; effects alone"
    assert warning in said(few)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [warning]
    assert "least possible" not in said(few)


def test_what_is_left_out_is_counted(cells: anndata.AnnData) -> None:
    fates = cells.obsm["fates"].copy()
    fates.iloc[:7] = np.nan
    cells.obsm["fates"] = fates
    drivers(cells, **FEW)
    assert "7 of 600 cells have no fate probabilities (NaN); they are left out" in said(cells)
    assert "no clusters are given: what sets cell types apart" in said(cells)


def test_a_gene_that_goes_with_next_to_no_difference_of_fates_is_counted(caplog) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(20.0, (200, 12))
    counts[:100, 0], counts[100:, 0] = rng.poisson(30.0, 100), 0
    share = counts[:, 0] / counts.sum(axis=1)
    fate = np.where(np.arange(200) < 100, 0.5 + 0.01 * share, rng.uniform(size=200))
    cells = anndata.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(
            {"branch": ["root"] * 100 + ["late"] * 100}, [f"c{i}" for i in range(200)]
        ),
        var=pd.DataFrame(index=[f"GENE{i}" for i in range(12)]),
    )
    cells.obsm["fates"] = pd.DataFrame({"A": fate, "B": 1 - fate}, cells.obs_names)
    table = drivers(cells, cluster_key="branch", depth_bins=1)
    found = table[(table["fdr"] < 0.05) & (table["symbol"] == "GENE0")]
    assert len(found) == 2
    assert (found["effect"].abs() < 0.05).all()
    for text in (said(cells), caplog.text):  # a warning
        assert "have an effect below 0.05: they vary among cells whose fates are nearly" in text
    assert "of the genes at q < 0.05, 1 of 1 for A" in said(cells)
    cells.obsm["fates"].iloc[:100, 0] = rng.uniform(size=100) * 0.1 + share[:100] * 3
    cells.obsm["fates"]["B"] = 1 - cells.obsm["fates"]["A"]
    drivers(cells, cluster_key="branch", depth_bins=1)
    assert "effect below" not in said(cells)


def test_bad_input_is_refused_by_name(cells: anndata.AnnData) -> None:
    with pytest.raises(KeyError, match=r"fates_key: obsm has no 'x', .*; it has: X_latent"):
        drivers(cells, fates_key="x")
    with pytest.raises(ValueError, match="no gene can be tested: none is expressed in 601 or more"):
        drivers(cells, min_cells=601)
    with pytest.raises(ValueError, match="seed must not be negative"):
        drivers(cells, seed=-1)
    with pytest.raises(ValueError, match="key_added must be a name without a slash"):
        drivers(cells, key_added="a/b")
    assert "fate_drivers" not in cells.uns
    with pytest.raises(KeyError, match="no fate 'C'; the fates are: B, A1, A2"):
        drivers(cells, "C")
    nested = cells.copy()
    nested.obs["donor"] = nested.obs["branch"].astype(str)
    with pytest.raises(ValueError, match="donors are nested in clusters"):
        drivers(nested, cluster_key="branch", donor_key="donor")
    cells.obsm["fates"] = cells.obsm["fates"][["B"]]
    with pytest.raises(ValueError, match="one only, 'B'"):
        drivers(cells)
    cells.obsm["fates"] = cells.obsm["true_fates"]
    cells.X = sp.csr_matrix(cells.X.toarray() / 3)
    with pytest.raises(ValueError, match="raw counts"):
        drivers(cells)
