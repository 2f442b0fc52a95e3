"""Each way in which a checkpoint and data may not fit has its own sentence."""

import json
import shutil

import anndata
import pytest

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.data.inventory import take_inventory
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
from bionemo.geneformer_t.inference.data_fit import difference, examine_data, examine_fit
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab


@pytest.fixture
def trained(model, save_checkpoint, tiny_data_dir):
    model.provenance = TemporalGeneformerDataModule(tiny_data_dir, seq_length=33).provenance
    return summarise_checkpoint(save_checkpoint(model))


def findings(checkpoint, folder, verdict: str) -> list[str]:
    data = take_inventory(folder, checkpoint.vocab)
    return [f.text for f in examine_fit(checkpoint, data) if f.verdict == verdict]


def test_a_model_fits_the_data_it_was_trained_on(trained, tiny_data_dir):
    assert findings(trained, tiny_data_dir, "wrong") == []
    good = " ".join(findings(trained, tiny_data_dir, "good"))
    assert "both have vocabulary" in good
    assert "train holds the cells and the graph that the model was trained on" in good
    assert "val has successors under 'next_cell_ids'" in good


def test_other_medians_do_not_fit(trained, tiny_data_dir):
    for split in ("train", "val", "test"):
        path = tiny_data_dir / split / "medians.json"
        medians = json.loads(path.read_text())
        path.write_text(json.dumps({gene: value + 1 for gene, value in medians.items()}))
    (wrong,) = findings(trained, tiny_data_dir, "wrong")
    assert "the medians of 28 genes differ" in wrong
    assert trained.vocab.fingerprint[:12] in wrong


def test_a_split_with_its_own_medians_does_not_fit(trained, tiny_data_dir):
    path = tiny_data_dir / "val" / "medians.json"
    medians = json.loads(path.read_text())
    path.write_text(json.dumps({**medians, "ENSG00000000003": 9.0}))
    (wrong,) = findings(trained, tiny_data_dir, "wrong")
    assert "val carries another vocabulary" in wrong
    assert any(f.verdict == "wrong" for f in examine_data(take_inventory(tiny_data_dir)))


def test_a_missing_graph_does_not_fit(trained, tiny_data_dir):
    path = tiny_data_dir / "val" / "neighbors.json"
    graphs = json.loads(path.read_text())
    path.write_text(json.dumps({"knn_neighbors": graphs["next_cell_ids"]}))
    (wrong,) = findings(trained, tiny_data_dir, "wrong")
    assert "val has no successors under 'next_cell_ids'" in wrong
    assert "it holds 'knn_neighbors'" in wrong
    path.write_text(json.dumps({"neighbors": graphs["next_cell_ids"]}))
    assert findings(trained, tiny_data_dir, "wrong") == []


def test_genes_of_another_species_do_not_fit(trained, tiny_data_dir):
    path = tiny_data_dir / "test" / "data.h5ad"
    cells = anndata.read_h5ad(path)
    cells.var["feature_id"] = [f"ENSMUSG{i:011d}" for i in range(30)]
    cells.var_names = [f"Gene{i}" for i in range(30)]
    cells.write_h5ad(path)
    (wrong,) = findings(trained, tiny_data_dir, "wrong")
    assert "test: 0.0% of the counts and 0 of 30 genes" in wrong
    assert "ENSMUSG00000000000" in wrong
    assert any("16 cells express no gene" in t for t in findings(trained, tiny_data_dir, "note"))


def test_cells_longer_than_what_is_read_are_told(trained, tiny_data_dir):
    (note,) = [t for t in findings(trained, tiny_data_dir, "note") if t.startswith("train: ")]
    assert "the model reads the top 15, so lower ranks are cut off" in note


def test_scoring_the_training_cells_is_told(trained, tiny_data_dir):
    shutil.rmtree(tiny_data_dir / "test")
    shutil.copytree(tiny_data_dir / "train", tiny_data_dir / "test")
    (wrong,) = findings(trained, tiny_data_dir, "wrong")
    assert "test holds the very cells that the model was trained on" in wrong
    notes = findings(trained, tiny_data_dir, "note")
    assert any("40 cells of test have the name of a cell of train" in text for text in notes)


def test_another_graph_over_the_training_cells_is_told(trained, tiny_data_dir):
    path = tiny_data_dir / "train" / "neighbors.json"
    path.write_text(json.dumps({"next_cell_ids": {"train_0": ["train_1"]}}))
    notes = findings(trained, tiny_data_dir, "note")
    assert any("another graph under 'next_cell_ids': 1 edges, in training 77" in t for t in notes)
    path.write_text(json.dumps({"knn_neighbors": {"train_0": ["train_1"]}}))
    assert any("without their graph" in t for t in findings(trained, tiny_data_dir, "note"))


def test_other_training_cells_are_told(trained, tiny_data_dir):
    shutil.rmtree(tiny_data_dir / "train")
    notes = findings(trained, tiny_data_dir, "note")
    assert any("trained on 40 other cells, of 'tiny_data'" in text for text in notes)


def test_data_without_a_vocabulary_take_the_checkpoints(trained, tiny_data_dir):
    for split in ("train", "val", "test"):
        (tiny_data_dir / split / "geneformer.vocab").unlink()
    assert findings(trained, tiny_data_dir, "wrong") == []
    notes = findings(trained, tiny_data_dir, "note")
    assert "the data have no vocabulary of their own; the checkpoint's is used" in notes


def test_a_checkpoint_without_a_vocabulary_fits_nothing(model, save_checkpoint, tiny_data_dir):
    model.vocab = model.pair_settings = None
    bare = summarise_checkpoint(save_checkpoint(model))
    (wrong,) = findings(bare, tiny_data_dir, "wrong")
    assert "carries no vocabulary" in wrong


def test_positions_must_reach_as_far_as_the_sequence(model, save_checkpoint, tiny_data_dir):
    model.pair_settings = PairSettings(seq_length=65)
    long = summarise_checkpoint(save_checkpoint(model))
    (wrong,) = findings(long, tiny_data_dir, "wrong")
    assert "seq_length 65 takes 65 positions, but the model has 64" in wrong
    notes = findings(long, tiny_data_dir, "note")
    assert "the checkpoint does not say what cells it was trained on" in notes


def test_restarted_positions_need_only_reach_through_one_cell(
    vocab, save_checkpoint, tiny_data_dir
):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BioBertConfig(
        vocab_size=len(vocab), max_position_embeddings=32, position_scheme="restarted", **sizes
    )
    model = TemporalGeneformerModel(config)
    model.adopt(vocab, PairSettings(seq_length=63))
    assert findings(summarise_checkpoint(save_checkpoint(model)), tiny_data_dir, "wrong") == []


def test_models_of_single_cells_need_no_graph(model, save_checkpoint, tiny_data_dir):
    model.pair_settings = PairSettings(objective="mlm", seq_length=33)
    data = TemporalGeneformerDataModule(tiny_data_dir, objective="mlm", seq_length=33)
    model.provenance = data.provenance
    plain = summarise_checkpoint(save_checkpoint(model))
    for split in ("train", "val", "test"):
        (tiny_data_dir / split / "neighbors.json").unlink()
    assert findings(plain, tiny_data_dir, "wrong") == []
    assert "train holds the cells that the model was trained on" in findings(
        plain, tiny_data_dir, "good"
    )


def test_a_sound_folder_has_nothing_wrong(tiny_data_dir):
    assert {f.verdict for f in examine_data(take_inventory(tiny_data_dir))} == {"good"}


def test_vocabularies_differ_in_medians_ids_or_genes():
    mine = GeneVocab.of_genes({"a": 1.0, "b": 2.0})
    turned = GeneVocab(tokens=(*SPECIAL_TOKENS, "b", "a"), medians=mine.medians)
    assert "medians of 1 genes differ" in difference(mine, GeneVocab.of_genes({"a": 1.0, "b": 3.0}))
    assert "the same 2 genes, but their tokens have other ids" in difference(mine, turned)
    other = GeneVocab.of_genes({"b": 1.0, "c": 1.0, "d": 1.0})
    assert "has 2 genes, the data 3, and 1 are in both" in difference(mine, other)
