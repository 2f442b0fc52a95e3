import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.scdl import survey, write_archive
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.run.predict import predict
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.training_cell_record import training_cells_of
from bionemo.geneformer_t.vocab import GeneVocab


def test_a_tidy_table_is_written(untrained_checkpoint, tiny_data_dir, tmp_path, capsys) -> None:
    path = predict(
        checkpoint=untrained_checkpoint,
        input=tiny_data_dir / "test" / "data.h5ad",
        output=tmp_path / "new" / "next.csv",
        num_predictions=4,
    )
    table = pd.read_csv(path)
    assert list(table.columns) == ["cell", "rank", "gene", "probability", "symbol"]
    assert len(table) == 16 * 4
    assert table["rank"].tolist() == [1, 2, 3, 4] * 16
    assert table["cell"].unique().tolist() == [f"test_{i}" for i in range(16)]
    assert not table.duplicated(["cell", "gene"]).any()
    assert table["probability"].between(0, 1).all()
    genes = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad").var
    names = dict(zip(genes["feature_id"], genes.index, strict=True))
    assert table["symbol"].tolist() == [names[gene] for gene in table["gene"]]
    printed = capsys.readouterr().out
    assert "16 cells predicted, 0 left out" in printed
    assert "28 of 30 genes" in printed


def test_a_folder_and_its_file_predict_the_same_and_nothing_is_left_beside_them(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    folder = tiny_data_dir / "test"
    before = sorted(folder.iterdir())
    tables = [
        pd.read_csv(
            predict(checkpoint=untrained_checkpoint, input=source, output=tmp_path / f"{i}.csv")
        )
        for i, source in enumerate((folder, folder / "data.h5ad"))
    ]
    pd.testing.assert_frame_equal(*tables)
    assert sorted(folder.iterdir()) == before


def test_an_archive_predicts_what_its_file_does(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    file = tiny_data_dir / "test" / "data.h5ad"
    with h5ad_source(file) as source:
        write_archive(source, survey(source), tmp_path / "scdl")
    given = {"checkpoint": untrained_checkpoint}
    expected = predict(**given, input=file, output=tmp_path / "1.csv").read_bytes()
    for archive in (tmp_path / "scdl", tmp_path):
        assert predict(**given, input=archive, output=tmp_path / "2.csv").read_bytes() == expected
    with pytest.raises(KeyError, match="holds one matrix of counts; leave --layer NAME"):
        predict(**given, input=tmp_path, output=tmp_path / "3.csv", use_raw=True)


def test_a_folder_of_another_vocabulary_and_a_missing_input_are_refused(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    given = {"checkpoint": untrained_checkpoint, "output": tmp_path / "o.csv"}
    path = tiny_data_dir / "test" / "medians.json"
    medians = {gene: value + 1 for gene, value in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(medians))
    with pytest.raises(ValueError, match="was prepared with vocabulary"):
        predict(**given, input=tiny_data_dir / "test")
    with pytest.raises(FileNotFoundError, match="input: expected an"):
        predict(**given, input=tmp_path / "none.h5ad")


def test_cells_without_known_genes_are_counted(
    untrained_checkpoint, tiny_data_dir, tmp_path, capsys
) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    counts = cells.X.toarray()
    counts[3, :28] = 0
    anndata.AnnData(counts, obs=cells.obs, var=cells.var).write_h5ad(tmp_path / "in.h5ad")
    path = predict(
        checkpoint=untrained_checkpoint, input=tmp_path / "in.h5ad", output=tmp_path / "out.csv"
    )
    assert "15 cells predicted, 1 left out" in capsys.readouterr().out
    assert "test_3" not in set(pd.read_csv(path)["cell"])


def test_cells_of_other_genes_are_refused(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    counts = cells.X.toarray()
    counts[:, 3:] = 0
    counts[:, 28:] = 1000
    anndata.AnnData(counts, obs=cells.obs, var=cells.var).write_h5ad(tmp_path / "in.h5ad")
    given = {"checkpoint": untrained_checkpoint, "input": tmp_path / "in.h5ad"}
    with pytest.raises(ValueError, match=r"only .*% of the counts of .*in\.h5ad.* same species"):
        predict(**given, output=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    predict(**given, output=tmp_path / "out.csv", min_mapped_counts=0)
    assert (tmp_path / "out.csv").exists()


def test_an_h5ad_has_a_row_for_each_cell(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    path = predict(
        checkpoint=untrained_checkpoint,
        input=tiny_data_dir / "test",
        output=tmp_path / "next.h5ad",
        num_predictions=3,
    )
    cells = anndata.read_h5ad(path)
    assert cells.obs_names.tolist() == [f"test_{i}" for i in range(16)]
    assert cells.obsm["next_cell_genes"].shape == (16, 3)
    assert np.asarray(cells.obsm["next_cell_probabilities"]).max() <= 1


def test_an_h5ad_without_expected_ranks_holds_the_tables_alone(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    path = predict(
        checkpoint=untrained_checkpoint,
        input=tiny_data_dir / "test",
        output=tmp_path / "next.h5ad",
        expected_ranks=False,
    )
    bare = anndata.read_h5ad(path)
    assert bare.shape == (16, 0)
    assert bare.obsm["next_cell_symbols"].shape == (16, 10)


def test_raw_counts_are_required(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    cells.X = cells.X.log1p()
    cells.write_h5ad(tmp_path / "in.h5ad")
    given = tmp_path / "in.h5ad"
    with pytest.raises(ValueError, match=f"^{re.escape(str(given))}: .*look log-normalised"):
        predict(checkpoint=untrained_checkpoint, input=given, output=tmp_path / "o.csv")


def test_a_file_of_unknown_genes_is_named(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")[:, 28:].copy()
    given = tmp_path / "in.h5ad"
    cells.write_h5ad(given)
    with pytest.raises(ValueError, match=f"none of the 2 genes of {re.escape(str(given))} "):
        predict(checkpoint=untrained_checkpoint, input=given, output=tmp_path / "o.csv")


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"output": "next.txt"}, "must end in .csv or .h5ad"), ({"batch_size": 0}, "at least 1")],
)
def test_wrong_settings_are_refused(setting, message) -> None:
    with pytest.raises(ValueError, match=message):
        predict(**{"checkpoint": "a.ckpt", "input": "b.h5ad", "output": "c.csv", **setting})


@pytest.fixture
def published(tiny_data_dir, tmp_path):
    """As CELLxGENE gives files: ids as index, symbols in feature_name, counts in raw."""
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    var = pd.DataFrame({"feature_name": cells.var_names}, index=list(cells.var["feature_id"]))
    shown = anndata.AnnData(cells.X.log1p(), obs=cells.obs, var=var)
    shown.raw = anndata.AnnData(cells.X, obs=cells.obs, var=var)
    shown.layers["counts"] = cells.X
    shown.layers["expected"] = cells.X.copy()
    shown.layers["expected"].data[::3] += 0.25
    shown.write_h5ad(tmp_path / "published.h5ad")
    return tmp_path / "published.h5ad"


@pytest.mark.parametrize(
    "choice",
    [{"use_raw": True}, {"layer": "counts"}, {"layer": "expected", "round_counts": True}],
    ids=str,
)
def test_raw_a_layer_and_rounded_counts_predict_the_same(
    choice, published, untrained_checkpoint, tiny_data_dir, tmp_path, capsys
) -> None:
    given = {"checkpoint": untrained_checkpoint}
    expected = predict(**given, input=tiny_data_dir / "test", output=tmp_path / "1.csv")
    found = predict(**given, input=published, output=tmp_path / "2.csv", **choice)
    pd.testing.assert_frame_equal(pd.read_csv(found), pd.read_csv(expected), rtol=1e-4)
    assert ("expected counts were rounded" in capsys.readouterr().out) == (
        "expected" in str(choice)
    )


def test_refusals_name_the_options_of_this_command(
    published, untrained_checkpoint, tmp_path
) -> None:
    given = {"checkpoint": untrained_checkpoint, "output": tmp_path / "o.csv", "input": published}
    with pytest.raises(ValueError, match=r"take them with: --layer counts or --use_raw$"):
        predict(**given)
    with pytest.raises(ValueError, match=r"expected counts, as .* --round_counts rounds each"):
        predict(**given, layer="expected")
    with pytest.raises(KeyError, match="no layer 'x'; it holds: counts, expected"):
        predict(**given, layer="x")


@pytest.fixture
def trained(tiny_data_dir, tmp_path):
    """A model of days 0 and 1, where cells of day 1 have no successors."""
    for name in ("train", "val", "test"):
        path = tiny_data_dir / name / "neighbors.json"
        size = len(anndata.read_h5ad(tiny_data_dir / name / "data.h5ad"))
        half = range(size // 2)
        graph = {f"{name}_{i}": [f"{name}_{size // 2 + i}"] for i in half}
        path.write_text(json.dumps({"neighbors": graph}))
    return train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "run", seq_length=64, hidden_size=16,
        num_layers=1, num_attention_heads=2, intermediate_size=16, num_epochs=1, num_workers=0,
        accelerator="cpu", final_evaluation=False,
    )  # fmt: skip


def test_training_cells_and_those_of_the_last_time_are_marked_under_any_name(
    trained, tiny_data_dir, tmp_path, capsys
) -> None:
    parts = [anndata.read_h5ad(tiny_data_dir / name / "data.h5ad") for name in ("train", "test")]
    mixed = anndata.concat([parts[0][10:30], parts[1]])
    mixed.var = parts[0].var
    mixed = mixed[:, ::-1].copy()  # genes in another order
    mixed.obs_names = [f"cell {i}" for i in range(36)]
    mixed.write_h5ad(tmp_path / "mixed.h5ad")
    given = {"checkpoint": trained, "input": tmp_path / "mixed.h5ad", "num_predictions": 2}
    table = pd.read_csv(predict(**given, output=tmp_path / "next.csv"))
    names = ["cell", "rank", "gene", "probability", "symbol", "training_cell", "last_time_point"]
    assert list(table.columns) == names
    first = table[table["rank"] == 1]
    assert first["training_cell"].tolist() == [True] * 20 + [False] * 16
    assert first["last_time_point"].tolist() == (mixed.obs["day"] == 1).tolist()
    printed = capsys.readouterr().out
    assert "20 of 36 cells are training cells of the checkpoint (column training_cell)" in printed
    assert "18 of 36 cells are of the last time point that the model was trained on (day 1;" in (
        printed
    )
    cells = anndata.read_h5ad(predict(**given, output=tmp_path / "next.h5ad"))
    for name in names[-2:]:
        assert cells.obs[name].tolist() == first[name].tolist()

    gft.tl.predict(mixed, trained, num_predictions=2)
    for name in names[-2:]:
        assert mixed.obs[f"next_cell_{name}"].tolist() == first[name].tolist()

    del mixed.obs["day"]  # the time is not known
    anndata.AnnData(mixed.X, obs=mixed.obs, var=mixed.var).write_h5ad(tmp_path / "mixed.h5ad")
    table = pd.read_csv(predict(**given, output=tmp_path / "next.csv"))
    assert list(table.columns) == names[:-1]
    assert "last time" not in capsys.readouterr().out.rpartition("cells are training")[2]


def test_nothing_is_claimed_where_the_checkpoint_does_not_tell(
    untrained_checkpoint, tiny_data_dir, tmp_path, capsys
) -> None:
    path = predict(
        checkpoint=untrained_checkpoint, input=tiny_data_dir / "train", output=tmp_path / "o.csv"
    )
    assert "training_cell" not in pd.read_csv(path, nrows=1).columns
    printed = capsys.readouterr().out
    assert "which cells the model was trained on is not known" in printed


def test_times_whose_cells_have_successors_are_not_the_last(tiny_data_dir, tmp_path) -> None:
    """In the chain of cells of these tests, those of day 1 follow one another."""
    vocab = GeneVocab.read(
        tiny_data_dir / "train" / "geneformer.vocab", tiny_data_dir / "train" / "medians.json"
    )
    dataset = TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", vocab, PairSettings(seq_length=64)
    )
    found = training_cells_of(dataset)
    assert found.last_time is None
    assert len(found.numbers) == 40


def test_predictions_do_not_take_the_place_of_the_cells(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    folder = tmp_path / "cells"
    folder.mkdir()
    cells = folder / "data.h5ad"
    cells.write_bytes((tiny_data_dir / "test" / "data.h5ad").read_bytes())
    before = cells.read_bytes()
    for source in (cells, folder):
        with pytest.raises(ValueError, match="output and input are the same file"):
            predict(checkpoint=untrained_checkpoint, input=source, output=cells)
    assert cells.read_bytes() == before
