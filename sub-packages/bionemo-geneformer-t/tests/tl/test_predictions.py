"""`gft.tl.predict` writes what `predict` writes to a file, where scanpy looks."""

import anndata
import numpy as np
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.run.predict import predict

LAYERS = {"next_cell", "next_cell_change", "next_cell_against_average"}


@pytest.fixture
def cells(tiny_data_dir) -> anndata.AnnData:
    return anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")


def test_expected_ranks_are_those_of_the_distributions(cells, untrained_checkpoint) -> None:
    gft.tl.predict(cells, untrained_checkpoint)
    model = load_model(untrained_checkpoint)
    vocab = model.required_vocab()
    # by hand, for one cell: its genes in the order of count over median
    number, cell = min(genes_per_cell(model), len(vocab.genes)), 3
    counts = cells.X.toarray()[cell, :28]
    tokens = vocab.encode(list(cells.var["feature_id"][:28]))
    expressed = np.flatnonzero(counts)
    value = counts[expressed] / vocab.median_of_id[tokens[expressed]]
    ranked = tokens[expressed][np.lexsort((tokens[expressed], -value))]
    log_probs = model_predictor(model)([ranked[:number]], number)[0]
    weights = (1 - np.arange(number) / number) * (np.arange(number) < len(ranked))
    expected = weights @ np.exp(log_probs)
    np.testing.assert_allclose(cells.layers["next_cell"][cell, :28], expected[tokens], rtol=1e-4)
    now = np.zeros(len(vocab))
    now[ranked[:number]] = 1 - np.arange(len(ranked[:number])) / number
    change = cells.layers["next_cell_change"][cell, :28]
    np.testing.assert_allclose(change, (expected - now)[tokens], atol=1e-5)


def test_differences_from_the_average_sum_to_nothing(cells, untrained_checkpoint) -> None:
    gft.tl.predict(cells, untrained_checkpoint)
    relative = cells.layers["next_cell_against_average"][:, :28]
    np.testing.assert_allclose(relative.mean(axis=0), 0, atol=1e-6)
    mean = cells.layers["next_cell"][:, :28].mean(axis=0)
    np.testing.assert_allclose(cells.layers["next_cell"][:, :28] - mean, relative, atol=1e-6)


def test_nothing_else_changes_and_it_can_be_stored(cells, untrained_checkpoint, tmp_path) -> None:
    before = cells.copy()
    assert gft.tl.predict(cells, untrained_checkpoint, num_predictions=4) is None
    assert set(cells.layers) == LAYERS
    assert (cells.X != before.X).nnz == 0
    assert cells.obs.equals(before.obs)
    assert np.isnan(cells.layers["next_cell"][:, 28:]).all()  # unknown to the vocabulary
    cells.write_h5ad(tmp_path / "out.h5ad")
    read = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert read.obsm["next_cell_genes"].shape == (16, 4)
    assert read.uns["next_cell"]["params"]["num_predictions"] == 4
    assert "1 at the first rank" in read.uns["next_cell"]["units"]["next_cell"]
    change = read.uns["next_cell"]["top_genes"]["mean_change"]
    assert (np.diff(change.abs()) <= 0).all()


def test_the_file_of_predict_holds_the_same(cells, untrained_checkpoint, tiny_data_dir, tmp_path):
    gft.tl.predict(cells, untrained_checkpoint)
    path = predict(
        checkpoint=untrained_checkpoint,
        input=tiny_data_dir / "test",
        output=tmp_path / "next.h5ad",
    )
    written = anndata.read_h5ad(path)
    vocab = load_model(untrained_checkpoint).required_vocab()
    assert written.var_names.tolist() == list(vocab.genes)
    tokens = vocab.encode(list(cells.var["feature_id"][:28]))
    column = {gene: i for i, gene in enumerate(vocab.gene_ids.tolist())}
    columns = [column[token] for token in tokens.tolist()]
    np.testing.assert_allclose(written.X[:, columns], cells.layers["next_cell"][:, :28], rtol=1e-5)
    for name in LAYERS - {"next_cell"}:
        np.testing.assert_allclose(
            written.layers[name][:, columns], cells.layers[name][:, :28], atol=1e-6
        )
    for name in ("genes", "symbols"):
        key = f"next_cell_{name}"
        assert (written.obsm[key].to_numpy() == cells.obsm[key].to_numpy()).all()
    assert set(written.uns["next_cell"]["units"]) == {
        "X", "next_cell_change", "next_cell_against_average", "probabilities",
    }  # fmt: skip


def test_cells_without_known_genes_are_left_empty(cells, untrained_checkpoint, caplog) -> None:
    counts = cells.X.toarray()
    counts[7, :28] = 0
    cells.X = counts
    gft.tl.predict(cells, untrained_checkpoint)
    assert "1 of 16 cells express no gene" in caplog.text
    assert np.isnan(cells.layers["next_cell"][7]).all()
    assert (cells.obsm["next_cell_genes"].iloc[7] == "").all()
    assert not np.isnan(np.delete(cells.layers["next_cell"][:, :28], 7, axis=0)).any()


def test_raw_layers_copies_and_loaded_models_give_the_same(cells, untrained_checkpoint) -> None:
    expected = gft.tl.predict(cells, untrained_checkpoint, copy=True)
    assert not cells.layers
    shown = anndata.AnnData(cells.X.log1p(), obs=cells.obs, var=cells.var)
    shown.raw = cells
    shown.layers["counts"] = cells.X.copy()
    model = load_model(untrained_checkpoint)
    for options in ({"use_raw": True}, {"layer": "counts"}):
        found = gft.tl.predict(shown, model, copy=True, **options)
        for name in LAYERS:
            np.testing.assert_array_equal(found.layers[name], expected.layers[name])


def test_messages_name_the_option_of_predict(cells, untrained_checkpoint) -> None:
    with pytest.raises(KeyError, match="layer='x': there is no layer 'x'; the layers are: none"):
        gft.tl.predict(cells, untrained_checkpoint, layer="x")


def test_symbols_come_from_the_cells(cells, untrained_checkpoint) -> None:
    cells.var["feature_name"] = [f"SYMBOL{i}" for i in range(cells.n_vars)]
    cells.var_names = cells.var["feature_id"].tolist()
    gft.tl.predict(cells, untrained_checkpoint)
    assert set(cells.obsm["next_cell_symbols"].to_numpy().ravel()) <= set(cells.var["feature_name"])
    assert cells.uns["next_cell"]["top_genes"]["symbol"].str.startswith("SYMBOL").all()


def test_tab_completion_offers_the_functions() -> None:
    assert dir(gft.tl) == gft.tl.__all__
    assert dir(gft.pp) == ["next_cells"]
