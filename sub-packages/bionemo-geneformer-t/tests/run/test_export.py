"""`geneformer-t export`: whole or not at all, with scores where there are some."""

import json
import shutil

import pytest
import torch
from foreign import write_foreign
from transformers import BertForMaskedLM

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.doctor import doctor
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.export import export
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

FILES = {
    "README.md", "config.json", "model.safetensors", "geneformer.vocab", "medians.json",
    "token_dictionary.pkl", "gene_median_dictionary.pkl", "gene_name_id_dict.pkl",
    "ensembl_mapping_dict.pkl", "made_by.json",
}  # fmt: skip


def test_the_folder_holds_everything_and_loads(untrained_checkpoint, tmp_path, capsys):
    line = ["export", "--checkpoint", str(untrained_checkpoint), "--output_dir",
            str(tmp_path / "new" / "out")]  # fmt: skip
    assert main(line) == 0
    folder = tmp_path / "new" / "out"
    assert {path.name for path in folder.iterdir()} == FILES
    BertForMaskedLM.from_pretrained(folder)
    again = TemporalGeneformerModel.from_pretrained(folder)
    assert again.vocab.fingerprint == load_model(untrained_checkpoint).vocab.fingerprint
    card = (folder / "README.md").read_text()
    assert card.startswith("---")
    assert "# out" in card
    assert "None were measured" in card
    assert "no scores, because there are none" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_the_same_export_is_done_and_another_is_refused(untrained_checkpoint, tmp_path, capsys):
    given = {"checkpoint": untrained_checkpoint, "output_dir": tmp_path / "out"}
    export(**given)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    export(**given)
    assert "already contains this export" in capsys.readouterr().out
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    with pytest.raises(FileExistsError, match="made with other settings or input"):
        export(**given, name="another")


def test_a_foreign_folder_is_left_alone(untrained_checkpoint, tiny_data_dir):
    before = sorted(tiny_data_dir.rglob("*"))
    with pytest.raises(FileExistsError, match="holds files not made by this command"):
        export(checkpoint=untrained_checkpoint, output_dir=tiny_data_dir)
    assert sorted(tiny_data_dir.rglob("*")) == before
    with pytest.raises(NotADirectoryError, match="is a file"):
        export(checkpoint=untrained_checkpoint, output_dir=untrained_checkpoint)


def test_nothing_is_left_of_an_export_that_fails(untrained_checkpoint, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("bionemo.geneformer_t.inference.huggingface_export.write_model", fail)
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match="the disk is full"):
        export(checkpoint=untrained_checkpoint, output_dir=tmp_path / "place" / "out")
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.slow  # an evaluation with its pictures
def test_the_scores_of_this_checkpoint_are_in_the_card_and_no_others(
    untrained_checkpoint, tiny_data_dir, tmp_path, capsys
):
    run = untrained_checkpoint.parents[1]
    found = evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, output_dir=run)
    export(checkpoint=untrained_checkpoint, output_dir=tmp_path / "out")
    assert f"with scores from {run / 'evaluation.json'}" in capsys.readouterr().out
    card = (tmp_path / "out" / "README.md").read_text()
    assert "On `test`:" in card
    for name, row in found.rows.items():
        assert f"| {name} | {row.all.cross_entropy:.3f} |" in card

    # other weights under the same name, in a folder with these scores
    other = tmp_path / "other" / "checkpoints" / untrained_checkpoint.name
    other.parent.mkdir(parents=True)
    content = torch.load(untrained_checkpoint, weights_only=True)
    next(iter(content["state_dict"].values()))[0, 0] += 1
    torch.save(content, other)
    shutil.copy(run / "evaluation.json", other.parents[1])
    export(checkpoint=other, output_dir=tmp_path / "second")
    assert "None were measured" in (tmp_path / "second" / "README.md").read_text()
    assert "is not used: it scores another model (fingerprint" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match=r"does not have the scores of .*: it scores another model"
    ):
        export(checkpoint=other, output_dir=tmp_path / "x", evaluation=run / "evaluation.json")

    # the same weights under another name and date are the same weights
    shutil.copy(untrained_checkpoint, other.with_name("renamed.ckpt"))
    export(checkpoint=other.with_name("renamed.ckpt"), output_dir=tmp_path / "third")
    assert "On `test`:" in (tmp_path / "third" / "README.md").read_text()
    assert doctor(first=other.with_name("renamed.ckpt")).is_sound
    nats = found.rows["the model"].all.cross_entropy
    assert f"scores: {nats:.3f} nats per position on test" in capsys.readouterr().out

    values = json.loads((run / "evaluation.json").read_text())
    del values["scored"]  # as former versions wrote it
    (run / "evaluation.json").write_text(json.dumps(values))
    export(checkpoint=untrained_checkpoint, output_dir=tmp_path / "fourth")
    assert "whose scores they are is not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, r"evaluation: expected the evaluation\.json"),
        ("{", ValueError, "is not valid JSON"),
        ("[]", ValueError, "holds no scores"),
        ('{"rows": {"the model": {}}}', ValueError, "holds no scores"),
    ],
)
def test_what_is_no_evaluation_is_refused(untrained_checkpoint, tmp_path, content, error, message):
    path = tmp_path / "evaluation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=message):
        export(checkpoint=untrained_checkpoint, output_dir=tmp_path / "out", evaluation=path)


def test_a_folder_of_pretrained_weights_can_be_converted(tmp_path):
    genes = [f"ENSG{i:011d}" for i in range(20)]
    write_foreign(tmp_path / "in", ["<pad>", "<mask>", *genes], dict.fromkeys(genes, 1.5))
    export(checkpoint=tmp_path / "in", output_dir=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "the pretrained weights as they are" in card
    assert "| `special_token` | False |" in card
    again = TemporalGeneformerModel.from_pretrained(tmp_path / "out")
    assert set(again.vocab.genes) == set(genes)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "bad.ckpt").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"bad\.ckpt"):
        export(checkpoint=tmp_path / "bad.ckpt", output_dir=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="checkpoint: expected a file"):
        export(checkpoint=tmp_path / "none.ckpt", output_dir=tmp_path / "out")


@pytest.mark.slow
def test_the_score_in_the_card_is_that_of_the_exported_files_in_transformers(
    tiny_data_dir, tmp_path
):
    """The mean over all positions of all next cells, by BertForMaskedLM and nothing of ours."""
    checkpoint = train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "run", seq_length=64, hidden_size=16,
        num_layers=1, num_attention_heads=2, intermediate_size=16, num_epochs=2, num_workers=0,
        accelerator="cpu", position_scheme="restarted", rank_knots=5, successor_memory=True,
        learning_rate=1e-2,
    )  # fmt: skip
    folder = export(checkpoint=checkpoint, output_dir=tmp_path / "out")
    found = BertForMaskedLM.from_pretrained(folder).eval()
    model = load_model(checkpoint)
    vocab, pairs = model.vocab, CellPairs.from_dataset(open_split(model, tiny_data_dir / "test"))
    genes = torch.zeros(len(vocab), dtype=torch.bool)
    genes[torch.from_numpy(vocab.gene_ids)] = True
    total = positions = 0.0
    for target in pairs.targets():
        context = [vocab.ids["[CLS]"], *target.context.tolist(), vocab.ids["[SEP]"]]
        ranks = max(map(len, target.next_cells))
        ids = torch.tensor(context + [vocab.ids["[MASK]"]] * ranks)
        mask = torch.zeros(1, 1, len(ids), len(ids))
        mask[..., len(context) :] = torch.finfo(mask.dtype).min
        with torch.no_grad():
            logits = found(
                ids[None],
                attention_mask=mask,
                token_type_ids=(torch.arange(len(ids)) >= len(context)).long()[None],
                position_ids=torch.cat([torch.arange(len(context)), torch.arange(1, ranks + 1)])[
                    None
                ],
            ).logits[0, len(context) :]
        logs = logits.masked_fill(~genes, -torch.inf).log_softmax(-1).numpy()
        for cell, weight in zip(target.next_cells, target.weights, strict=True):
            total -= weight * float(logs[range(len(cell)), cell].sum())
            positions += weight * len(cell)
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    row = scores["rows"]["the exported network alone"]["all"]["cross_entropy"]
    assert row == pytest.approx(total / positions, abs=1e-5)
    assert abs(row - scores["rows"]["the model"]["all"]["cross_entropy"]) > 1e-3
    card = (folder / "README.md").read_text()
    assert f"it scores {row:.3f} nats per position; gene frequencies at each rank have" in card
