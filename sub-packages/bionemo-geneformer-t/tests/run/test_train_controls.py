"""One switch trains the same on shuffled successors, and every score finds it by itself."""

import json
import shutil

import pytest
import torch

from bionemo.geneformer_t.evaluate.headline import NO_CONTROL
from bionemo.geneformer_t.evaluate.row_names import MODEL, RANDOM_WEIGHTS, SHUFFLED
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.stop_signals import RunStopped

SMALL = {
    "seq_length": 64, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "num_epochs": 1, "num_workers": 0, "accelerator": "cpu",
    "checkpoint_every_n_steps": 1, "final_evaluation": False,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("without_type_checks")


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, **settings}
    )


def weights(checkpoint) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def assert_same(one, other) -> None:
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def control_of(run):
    name = json.loads((run / "shuffled" / "best.json").read_text())["checkpoint"]
    return run / "shuffled" / "checkpoints" / name


@pytest.fixture
def both(tiny_data_dir, tmp_path):
    """A run with its control."""
    return train(tiny_data_dir, tmp_path / "run", controls=True)


def test_the_control_is_the_same_training_on_shuffled_successors_and_the_model_is_as_without_it(
    both, tiny_data_dir, tmp_path
) -> None:
    assert_same(both, train(tiny_data_dir, tmp_path / "alone"))
    shuffled = train(tiny_data_dir, tmp_path / "by_hand", shuffle_successors=True)
    control = control_of(tmp_path / "run")
    assert_same(control, shuffled)
    assert load_model(control).provenance.shuffled
    steps = {torch.load(one, weights_only=True)["global_step"] for one in (both, control)}
    assert steps == {5}  # 39 cells in batches of 8


def test_a_run_killed_in_its_control_resumes_there_and_is_scored_with_it(
    tiny_data_dir, tmp_path, monkeypatch, capsys
) -> None:
    original, seen = TemporalGeneformerModel.training_step, []

    def stopped(self, *args):
        seen.append(1)
        if len(seen) == 8:  # five steps of the model, and in the third of the control
            raise RunStopped("as by a kill")
        return original(self, *args)

    given = {"controls": True, "final_evaluation": True, "resume_from_checkpoint": "last"}
    with monkeypatch.context() as patch:
        patch.setattr(TemporalGeneformerModel, "training_step", stopped)
        with pytest.raises(RunStopped):
            train(tiny_data_dir, tmp_path / "run", **given)
    run = tmp_path / "run"
    assert not (run / "evaluation.json").exists()
    (model,) = (run / "checkpoints").glob("step*")
    before = model.read_bytes()
    evaluate(checkpoint=model, data_dir=tiny_data_dir)
    printed = capsys.readouterr().out
    assert "The control in" in printed
    assert "is not finished, and is not scored; repeat the command of the training" in printed
    assert NO_CONTROL in printed

    assert train(tiny_data_dir, run, **given) == model
    assert model.read_bytes() == before
    whole = train(tiny_data_dir, tmp_path / "whole", shuffle_successors=True)
    assert_same(control_of(run), whole)
    written = json.loads((run / "evaluation.json").read_text())
    assert list(written["rows"])[:2] == [MODEL, SHUFFLED]
    assert "shuffled successors" in written["graph_taught"]


def test_a_finished_run_gets_its_control_later_and_is_scored_again_once(
    tiny_data_dir, tmp_path, caplog
) -> None:
    run, again = tmp_path / "run", {"resume_from_checkpoint": "last", "final_evaluation": True}
    train(tiny_data_dir, run, final_evaluation=True)
    assert SHUFFLED not in json.loads((run / "evaluation.json").read_text())["rows"]
    train(tiny_data_dir, run, controls=True, **again)
    assert "it scores another control (fingerprint none)" in caplog.text
    assert SHUFFLED in json.loads((run / "evaluation.json").read_text())["rows"]
    before = (run / "evaluation.json").stat().st_mtime_ns
    train(tiny_data_dir, run, controls=True, **again)
    assert (run / "evaluation.json").stat().st_mtime_ns == before


def test_evaluations_find_the_control_and_say_what_does_not_fit(
    both, tiny_data_dir, tmp_path, capsys
) -> None:
    found = evaluate(checkpoint=both, data_dir=tiny_data_dir, controls=True)
    assert list(found.rows)[:3] == [MODEL, SHUFFLED, RANDOM_WEIGHTS]
    assert "other settings" not in capsys.readouterr().out
    longer = train(tiny_data_dir, tmp_path / "run", num_epochs=2, resume_from_checkpoint="last")
    evaluate(checkpoint=tmp_path / "run" / "checkpoints" / "last.ckpt", data_dir=tiny_data_dir)
    assert (
        "The control was trained with other settings than the model: num_epochs was 2 and is 1."
    ) in capsys.readouterr().out
    shutil.copy(longer, control_of(tmp_path / "run"))
    assert SHUFFLED not in evaluate(checkpoint=longer, data_dir=tiny_data_dir).rows
    assert "is not scored: shuffled_checkpoint" in capsys.readouterr().out


def test_another_control_in_the_folder_is_refused_before_the_training(
    both, tiny_data_dir, tmp_path
) -> None:
    (tmp_path / "new").mkdir()
    shutil.copytree(tmp_path / "run" / "shuffled", tmp_path / "new" / "shuffled")
    with pytest.raises(FileExistsError, match="shuffled contains another run"):
        train(tiny_data_dir, tmp_path / "new", controls=True)
    assert not (tmp_path / "new" / "checkpoints").exists()


@pytest.mark.parametrize("setting", [{"objective": "mlm"}, {"shuffle_successors": True}])
def test_without_successors_to_shuffle_there_is_no_control(tiny_data_dir, tmp_path, setting):
    with pytest.raises(ValueError, match="controls trains"):
        train(tiny_data_dir, tmp_path / "run", controls=True, **setting)
