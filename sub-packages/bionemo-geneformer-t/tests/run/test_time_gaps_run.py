"""A model is trained with time gaps, resumed to the bit, and asked for next cells at gaps."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.model.time_gap import NUM_FEATURES
from bionemo.geneformer_t.model.weights.pretrained import read_pretrained
from bionemo.geneformer_t.run.predict import predict
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.run.transitions import transitions
from bionemo.geneformer_t.vocab import GeneVocab

TINY = {
    "hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "num_workers": 0, "seq_length": 64, "final_evaluation": False, "learning_rate": 5e-3,
    "mask_prob": 0.5, "next_cells_per_cell": 4, "time_gap_dropout": 0.1,
    "gene_embeddings": "expression", "rank_knots": 8, "position_scheme": "restarted",
    "time_gap_key": "day", "successor_steps": 3,
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_type_checks")]

NUM_DAYS, NUM_PER_DAY, GENES_PER_DAY = 4, 15, 6
"""Each day has genes of its own; a cell is followed by cells of the next day."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gaps") / "data"
    genes = [f"g{i}" for i in range(NUM_DAYS * GENES_PER_DAY)]
    vocab = GeneVocab.of_genes(dict.fromkeys(genes, 1.0))
    days = np.repeat(np.arange(NUM_DAYS), NUM_PER_DAY)
    is_own = days[:, None] == np.repeat(np.arange(NUM_DAYS), GENES_PER_DAY)
    for seed, split in enumerate(("train", "val", "test")):
        rng = np.random.default_rng(seed)
        counts = rng.poisson(np.where(is_own, 12.0, 0.5)).astype(np.float32)
        names = [f"{split}_{i}" for i in range(len(days))]
        following = {
            name: [other for other, day in zip(names, days, strict=True) if day == mine + 1]
            for name, mine in zip(names, days, strict=True)
            if mine + 1 < NUM_DAYS
        }
        (folder / split).mkdir(parents=True)
        cells = anndata.AnnData(
            sp.csr_matrix(counts),
            obs=pd.DataFrame({"day": days.astype(float)}, index=names),
            var=pd.DataFrame(index=genes),
        )
        cells.write_h5ad(folder / split / "data.h5ad")
        neighbors = {"next_cell_ids": following}
        (folder / split / "neighbors.json").write_text(json.dumps(neighbors))
        vocab.write(folder / split / "geneformer.vocab", folder / split / "medians.json")
    return folder


@pytest.fixture(scope="module")
def checkpoint(data_dir, tmp_path_factory) -> Path:
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=tmp_path_factory.mktemp("run"), num_epochs=40, **TINY
    )


def test_the_checkpoint_knows_the_gaps_of_training_and_has_learned_of_them(checkpoint) -> None:
    model = load_model(checkpoint)
    trained = model.required_gaps()
    assert (trained.key, trained.unit, trained.days) == ("day", "days", 1.0)
    assert (trained.shortest, trained.longest) == (1.0, 3.0)
    assert model.net.time_gap is not None
    assert model.net.time_gap.weight.abs().max() > 0
    torch.testing.assert_close(
        model.net.time_gap.log_range,
        torch.tensor([0.0, np.log(3.0)], dtype=torch.float32),
        rtol=1e-6,
        atol=1e-6,
    )
    assert model.pair_settings.successor_steps == 3


def test_a_resumed_run_ends_with_the_same_weights(data_dir, checkpoint, tmp_path) -> None:
    whole = train_temporal_geneformer(
        data_dir=data_dir, output_dir=tmp_path / "whole", num_epochs=2, max_steps=8, **TINY
    )
    half = {"data_dir": data_dir, "output_dir": tmp_path / "half", "num_epochs": 2, **TINY}
    train_temporal_geneformer(max_steps=3, **half)
    again = train_temporal_geneformer(max_steps=8, resume_from_checkpoint="last", **half)
    last = [path.parent / "last.ckpt" for path in (whole, again)]
    states = [load_model(path).net.state_dict() for path in last]
    # the schedules differ, for max_steps does: the map's shape and the run's end are the same
    assert states[0].keys() == states[1].keys()
    assert states[1]["time_gap.weight"].shape == (32, NUM_FEATURES)
    with pytest.raises(ValueError, match="time_gap_key was 'day' and is None"):
        train_temporal_geneformer(
            resume_from_checkpoint="last", max_steps=9, **{**half, "time_gap_key": None}
        )


def test_tables_have_a_line_for_each_gap_and_mark_those_outside(
    data_dir, checkpoint, tmp_path, capsys
) -> None:
    cells = data_dir / "test" / "data.h5ad"
    path = predict(
        checkpoint=checkpoint, input=cells, output=tmp_path / "next.csv", num_predictions=3,
        time_gap=("2", "40 days"),
    )  # fmt: skip
    table = pd.read_csv(path)
    assert len(table) == 60 * 3 * 2
    outside = table.groupby("time_gap")["outside_trained_gaps"].first()
    assert outside.to_dict() == {2.0: False, 40.0: True}
    assert "40 days: outside those of training, 1 to 3 days" in capsys.readouterr().out
    one = pd.read_csv(
        predict(
            checkpoint=checkpoint,
            input=cells,
            output=tmp_path / "one.csv",
            num_predictions=3,
            time_gap=("2",),
        )
    )  # fmt: skip
    mine = table[table["time_gap"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, one, rtol=1e-4)


def test_genes_are_those_of_the_day_that_is_asked_for(data_dir, checkpoint) -> None:
    cells = anndata.read_h5ad(data_dir / "test" / "data.h5ad")
    first = cells[cells.obs["day"] == 0].copy()
    for gap in (1.0, 2.0, 3.0):
        found = gft.tl.predict(first, checkpoint, time_gap=gap, copy=True)
        by_day = found.layers["next_cell"].mean(axis=0).reshape(NUM_DAYS, GENES_PER_DAY)
        assert by_day.mean(axis=1).argmax() == gap
        params = found.uns["next_cell"]["params"]
        assert (params["time_gap"], params["time_gap_unit"]) == (gap, "days")


def test_transitions_go_as_far_as_the_gap_says(data_dir, checkpoint, tmp_path) -> None:
    path = data_dir / "test" / "data.h5ad"
    cells = anndata.read_h5ad(path)
    days = cells.obs["day"].to_numpy()
    for gap in ("1", "48h", "3 days"):
        gft.tl.transitions(cells, checkpoint, time_gap=gap, num_successors=5, score="likelihood")
        matrix, how = cells.obsp["T_geneformer_t"], cells.uns["T_geneformer_t"]["params"]
        ahead = (matrix @ days - days)[days == 0].mean()
        assert abs(ahead - how["time_gap"]) < 0.3
        assert (how["axes_weight"], how["use_memory"]) == (0, False)
    written = transitions(
        checkpoint=checkpoint, input=path, output=tmp_path / "t.h5ad", time_gap="3",
        num_successors=5, score="likelihood",
    )  # fmt: skip
    same = anndata.read_h5ad(written).obsp["T_geneformer_t"]
    np.testing.assert_allclose(same.toarray(), matrix.toarray(), atol=1e-6)


def test_the_time_between_cells_is_that_of_their_days(data_dir, checkpoint) -> None:
    cells = anndata.read_h5ad(data_dir / "test" / "data.h5ad")
    names = cells.obs_names.to_numpy().reshape(NUM_DAYS, NUM_PER_DAY)
    for day in (1, 2, 3):
        table = gft.tl.time_between(cells, checkpoint, names[0], names[day])
        assert list(table.columns) == ["current", "later", "time", "low", "high", "most_probable"]
        assert table.attrs["unit"] == "days"
        assert (table["time"] == day).mean() > 0.9
        assert ((table["low"] <= table["time"]) & (table["time"] <= table["high"])).all()


def test_cells_are_named(data_dir, checkpoint) -> None:
    cells = anndata.read_h5ad(data_dir / "train" / "data.h5ad")
    with pytest.raises(KeyError, match="no cells of adata are called nobody"):
        gft.tl.time_between(cells, checkpoint, ["nobody"], ["train_1"])
    with pytest.raises(ValueError, match="one cell for each of current; got 1 and 2"):
        gft.tl.time_between(cells, checkpoint, ["train_0"], ["train_1", "train_2"])
    cells.obs_names = ["twin", "twin", *cells.obs_names[2:]]
    with pytest.raises(ValueError, match="several cells are called twin"):
        gft.tl.time_between(cells, checkpoint, ["twin"], ["train_4"])


def test_weights_with_a_map_start_another_run_with_a_map_of_zero(data_dir, checkpoint) -> None:
    start = read_pretrained(checkpoint)
    vocab = load_model(checkpoint).required_vocab()
    build = gft.TemporalGeneformerModel.from_pretrained
    told = build(start, vocab=vocab, time_gaps=True)
    assert told.net.time_gap.weight.abs().max() == 0
    assert "time gap" in told.start.initialised
    assert build(start, vocab=vocab).net.time_gap is None


def test_a_model_without_gaps_refuses_them_everywhere(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
    asks = [
        lambda: predict(
            checkpoint=untrained_checkpoint, input=tiny_data_dir / "test" / "data.h5ad",
            output=tmp_path / "next.csv", time_gap=("3",),
        ),
        lambda: gft.tl.predict(cells, untrained_checkpoint, time_gap=3.0),
        lambda: gft.tl.transitions(cells, untrained_checkpoint, time_gap=3.0),
        lambda: gft.tl.time_between(cells, untrained_checkpoint, ["test_0"], ["test_1"]),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(ValueError, match="trained without time gaps"):
            ask()
    assert not (tmp_path / "next.csv").exists()


def test_an_h5ad_holds_one_gap(checkpoint, data_dir, tmp_path) -> None:
    cells = data_dir / "test" / "data.h5ad"
    ask = {"checkpoint": checkpoint, "input": cells, "output": tmp_path / "next.h5ad"}
    with pytest.raises(ValueError, match=r"an \.h5ad holds the next cells of one gap; got 2"):
        predict(**ask, time_gap=("1", "2"))
    written = anndata.read_h5ad(predict(**ask, time_gap=("2",)))
    assert written.uns["next_cell"]["params"]["time_gap"] == 2.0


def test_memory_and_axes_are_refused_with_a_gap(checkpoint, data_dir) -> None:
    cells = anndata.read_h5ad(data_dir / "train" / "data.h5ad")
    with pytest.raises(ValueError, match="know one step alone; leave use_memory and axes_weight"):
        gft.tl.transitions(cells, checkpoint, time_gap=2.0, use_memory=True)
