"""Training from pretrained weights: sizes, coverage, the report, and what is refused."""

import json
import shutil

import pytest
import torch
import yaml
from foreign import V2, foreign_model, write_foreign

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

GENES = [f"ENSG{i:011d}" for i in range(30)]
SETTINGS = {
    "seq_length": 32,
    "num_epochs": 1,
    "final_evaluation": False,
    "micro_batch_size": 8,
    "num_workers": 0,
    "accelerator": "cpu",
    "log_every_n_steps": 1,
    "dropout_prob": 0.0,
}


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SETTINGS, **settings}
    )


@pytest.fixture
def weights(tmp_path):
    """V1's layout over 20 of the data's 28 genes, in another order, and 2 others."""
    tokens = ["<pad>", "<mask>", "ENSG77777777777", *GENES[:20][::-1], "ENSG88888888888"]
    write_foreign(tmp_path / "weights", tokens, max_position_embeddings=40)
    return tmp_path / "weights"


def test_a_run_takes_sizes_and_rows_and_reports_what_is_covered(
    weights, tiny_data_dir, tmp_path, caplog
):
    caplog.set_level("INFO")
    best = train(tiny_data_dir, tmp_path / "run", pretrained=str(weights))
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["hidden_size"], config["num_layers"]) == (16, 2)
    model = TemporalGeneformerModel.load_from_checkpoint(best)
    assert model.config.max_position_embeddings == 40  # those of the weights, not of seq_length
    report = json.loads((tmp_path / "run" / "pretrained.json").read_text())
    assert model.start.to_dict() == report
    assert report["genes_pretrained"] == 20
    assert report["genes_new"] == GENES[20:28]
    assert report["genes_unused"] == 2
    assert set(report["initialised"]) == {"[CLS]", "[SEP]", "[UKW]", "token type 1"}
    assert (report["data_genes"], report["data_genes_covered"]) == (30, 20)
    cells = TemporalGeneformerDataModule(tiny_data_dir).train.tokens.store
    counts, columns, _ = cells.rows(0, len(cells))
    assert report["data_counts_covered"] == pytest.approx(counts[columns < 20].sum() / counts.sum())
    assert "20 of 30 expressed genes" in caplog.text
    assert model.provenance.pretrained == str(weights)


def test_a_run_starts_where_the_weights_are(weights, tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run", pretrained=str(weights), learning_rate=1e-12)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    vocab = TemporalGeneformerDataModule(tiny_data_dir).vocab
    expected = TemporalGeneformerModel.from_pretrained(weights, vocab=vocab).net.state_dict()
    for name, tensor in expected.items():  # a millionth of a millionth per step
        torch.testing.assert_close(last["state_dict"]["net." + name], tensor, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_checkpoint_of_a_run_is_a_start_as_well(weights, tiny_data_dir, tmp_path):
    first = train(
        tiny_data_dir, tmp_path / "first", pretrained=str(weights), position_scheme="restarted"
    )
    second = train(tiny_data_dir, tmp_path / "second", pretrained=str(first), learning_rate=1e-12)
    before, after = (TemporalGeneformerModel.load_from_checkpoint(p) for p in (first, second))
    assert after.config == before.config  # the position scheme too
    assert after.start.genes_new == ()
    assert after.start.initialised == ()
    for name, tensor in before.net.state_dict().items():
        torch.testing.assert_close(after.net.state_dict()[name], tensor, rtol=0, atol=1e-9)
    plain = train(tiny_data_dir, tmp_path / "plain", pretrained=str(weights))
    with pytest.raises(ValueError, match="position_scheme is 'restarted' here and 'continued'"):
        train(tiny_data_dir, tmp_path / "x", pretrained=str(plain), position_scheme="restarted")


@pytest.mark.slow
def test_a_resumed_run_needs_the_weights_no_more(weights, tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run", pretrained=str(weights))
    before = json.loads((tmp_path / "run" / "pretrained.json").read_text())
    shutil.rmtree(weights)
    best = train(
        tiny_data_dir, tmp_path / "run", num_epochs=2, pretrained=str(weights),
        resume_from_checkpoint="last",
    )  # fmt: skip
    assert TemporalGeneformerModel.load_from_checkpoint(best).start.to_dict() == before
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["hidden_size"] == 16


@pytest.mark.slow
def test_the_written_config_repeats_the_run(weights, tiny_data_dir, tmp_path):
    first = train(tiny_data_dir, tmp_path / "run", pretrained=str(weights))
    again = train_temporal_geneformer(
        config=tmp_path / "run" / "config.yaml", output_dir=tmp_path / "again"
    )
    states = [torch.load(path, weights_only=True)["state_dict"] for path in (first, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_sizes_that_the_weights_do_not_have_are_refused(weights, tiny_data_dir, tmp_path):
    with pytest.raises(ValueError, match="hidden_size is 64 here and 16 there; num_layers is 3"):
        train(
            tiny_data_dir, tmp_path / "run", pretrained=str(weights), hidden_size=64, num_layers=3
        )
    assert not (tmp_path / "run").exists()
    train(tiny_data_dir, tmp_path / "run", pretrained=str(weights), hidden_size=16)


@pytest.mark.slow
def test_too_few_positions_are_refused_unless_more_are_asked_for(weights, tiny_data_dir, tmp_path):
    long = {"pretrained": str(weights), "seq_length": 64}
    with pytest.raises(ValueError, match=r"takes 64 positions .* has 40\..*extend_positions"):
        train(tiny_data_dir, tmp_path / "run", **long)
    with pytest.raises(ValueError, match="take position_scheme='restarted'"):
        train(tiny_data_dir, tmp_path / "run", **long)
    longer = long | {"seq_length": 128, "position_scheme": "restarted"}
    with pytest.raises(ValueError, match="Lower seq_length, or append positions"):
        train(tiny_data_dir, tmp_path / "run", **longer)
    best = train(tiny_data_dir, tmp_path / "run", **long, extend_positions=True)
    model = TemporalGeneformerModel.load_from_checkpoint(best)
    assert model.config.max_position_embeddings == 64
    assert "positions 40 to 63" in model.start.initialised
    restarted = train(tiny_data_dir, tmp_path / "half", **long, position_scheme="restarted")
    model = TemporalGeneformerModel.load_from_checkpoint(restarted)
    assert model.config.max_position_embeddings == 40  # rank 30 of either cell has a position


def test_data_that_the_weights_hardly_cover_are_refused(weights, tiny_data_dir, tmp_path):
    write_foreign(tmp_path / "few", ["<pad>", "<mask>", *GENES[:3]], max_position_embeddings=40)
    few = {"pretrained": str(tmp_path / "few")}
    with pytest.raises(ValueError, match=r"cover too little .*3 of 30 .*min_pretrained_coverage"):
        train(tiny_data_dir, tmp_path / "run", **few)
    train(tiny_data_dir, tmp_path / "run", **few, min_pretrained_coverage=0.05)


def test_weights_that_know_no_gene_of_the_data_are_refused(tiny_data_dir, tmp_path):
    write_foreign(tmp_path / "mouse", ["<pad>", "<mask>", "ENSMUSG00000000001"])
    with pytest.raises(ValueError, match=r"knows none of the 28 genes"):
        train(tiny_data_dir, tmp_path / "run", pretrained=str(tmp_path / "mouse"))


def test_the_token_dictionary_may_lie_elsewhere(weights, tiny_data_dir, tmp_path):
    elsewhere = (weights / "token_dictionary_small.pkl").rename(tmp_path / "tokens.pkl")
    train(tiny_data_dir, tmp_path / "run", pretrained=str(weights), pretrained_vocab=str(elsewhere))


@pytest.mark.slow
def test_the_published_vocabularies_go_by_name(real_data, tiny_data_dir, tmp_path):
    folder = real_data / "geneformer_dictionaries"
    foreign_model(**V2).save_pretrained(tmp_path / "v2")
    settings = {"pretrained": str(tmp_path / "v2"), "dictionaries": folder}
    # ENSG00000000003 and ENSG00000000005 are genes; the tiny data's other names are none
    with pytest.raises(ValueError, match=r"cover too little .* 2 of 30 expressed genes"):
        train(tiny_data_dir, tmp_path / "run", **settings, pretrained_vocab="geneformer-gc95M")
    with pytest.raises(ValueError, match=r"have 20,275 tokens, .* 25,426 tokens, Geneformer V1"):
        train(tiny_data_dir, tmp_path / "run", **settings, pretrained_vocab="geneformer-gc30M")


def test_weights_that_are_nowhere_are_named(tiny_data_dir, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder /no/such"):
        train(tiny_data_dir, tmp_path / "run", pretrained="/no/such")
