"""Recipes set what they say, yield to what is given, and end with a model that remembers."""

import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
from foreign import write_foreign
from scored import score_tokens

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.inference.rank_distributions import model_predictor
from bionemo.geneformer_t.run.command import resolve
from bionemo.geneformer_t.run.doctor import doctor
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.export import export
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.recipes import RECIPES
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

FOLDERS = {"data_dir": "data", "output_dir": "run"}
TINY = {
    "recipe": "small", "seq_length": 64, "hidden_size": 16, "num_layers": 1, "max_steps": 12,
    "num_attention_heads": 2, "num_workers": 0, "accelerator": "cpu", "final_evaluation": False,
}  # fmt: skip


def test_single_cells_are_pretrained_without_what_pairs_need() -> None:
    settings = resolve(TrainSettings, {**FOLDERS, "recipe": "large", "objective": "mlm"})
    assert (settings.context_dropout, settings.successor_memory) == (0.0, False)
    with pytest.raises(ValueError, match=r"context_dropout is 0\.3, but under objective 'mlm'"):
        resolve(TrainSettings, {**FOLDERS, "objective": "mlm", "context_dropout": 0.3})


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_sets_settings_of_training_and_nothing_else(name) -> None:
    assert RECIPES[name].keys() <= {field.name for field in fields(TrainSettings)}
    pretrained = {"pretrained": "weights"} if name == "finetune" else {}
    settings = resolve(TrainSettings, {**FOLDERS, **pretrained, "recipe": name})
    for field, value in RECIPES[name].items():
        assert getattr(settings, field) == value


def test_what_is_given_in_the_call_or_the_config_wins(tmp_path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("recipe: small\nnum_layers: 5\nhidden_size: 64\n")
    settings = resolve(TrainSettings, {**FOLDERS, "config": config, "hidden_size": 32})
    assert (settings.num_layers, settings.hidden_size) == (5, 32)
    assert settings.seq_length == RECIPES["small"]["seq_length"]


def test_without_a_recipe_the_defaults_are_those_of_the_specification() -> None:
    settings = resolve(TrainSettings, FOLDERS)
    assert (settings.seq_length, settings.mask_prob, settings.hidden_size) == (2048, 0.15, 512)
    assert (settings.rank_knots, settings.successor_memory) == (0, False)


def test_a_batch_size_takes_the_place_of_the_recipes_token_budget() -> None:
    settings = resolve(TrainSettings, {**FOLDERS, "recipe": "large", "micro_batch_size": 4})
    assert settings.max_tokens_per_batch is None


def test_fine_tuning_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="'finetune' starts from pretrained weights; give"):
        resolve(TrainSettings, {**FOLDERS, "recipe": "finetune"})


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="small, finetune, large; got 'tiny'"):
        resolve(TrainSettings, {**FOLDERS, "recipe": "tiny"})


@pytest.mark.slow
def test_the_best_checkpoint_remembers_and_is_better_for_it(tiny_data_dir, tmp_path) -> None:
    best = train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **TINY)
    torch.load(best, weights_only=True)
    model = load_model(best)
    assert model.memory is not None
    assert len(model.memory.index) == 39  # the last of the 40 training cells has no successor
    pairs = CellPairs.from_dataset(open_split(model, tiny_data_dir / "test"))
    mixed = score_tokens(model_predictor(model), pairs).all.scores.cross_entropy
    model.memory = None
    alone = score_tokens(model_predictor(model), pairs).all.scores.cross_entropy
    assert mixed < alone


@pytest.mark.slow
def test_prediction_and_evaluation_ask_the_same_mixture(tiny_data_dir, tmp_path) -> None:
    best = train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **TINY)
    model = load_model(best)
    context = open_split(model, tiny_data_dir / "test").tokens.encode(3)[:20]
    table = model_predictor(model)([context], 5)[0]
    answer = model.predict_next_cell(
        torch.from_numpy(context)[None], num_predictions=5, return_distribution=True
    )
    found = answer.distribution[0].cpu().numpy()[:, : table.shape[1]]
    np.testing.assert_allclose(found, np.exp(table), rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_a_finished_run_that_is_resumed_keeps_its_memory(tiny_data_dir, tmp_path) -> None:
    folders = {"data_dir": tiny_data_dir, "output_dir": tmp_path / "run"}
    best = train_temporal_geneformer(**folders, **TINY)
    before = best.read_bytes()
    again = train_temporal_geneformer(**folders, **TINY, resume_from_checkpoint="last")
    assert again == best
    assert best.read_bytes() == before


def test_genes_start_where_expression_puts_them(tiny_data_dir, tmp_path) -> None:
    settings = {**TINY, "max_steps": 1, "learning_rate": 1e-12, "successor_memory": False}
    best = train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "run", **settings
    )
    model = load_model(best)
    weight = model.net.bert.embeddings.word_embeddings.weight.detach()
    names = model.vocab.tokens
    is_late = torch.tensor([n.startswith("ENSG") and int(n[4:]) % 2 == 1 for n in names])
    is_early = torch.tensor([n.startswith("ENSG") and int(n[4:]) % 2 == 0 for n in names])
    late, early = weight[is_late, 0].mean(), weight[is_early, 0].mean()
    assert late * early < 0
    bias = model.net.cls.predictions.rank_bias
    assert (bias.start[model.vocab.gene_ids].exp().sum(0) - 1).abs().max() < 1e-3


def test_the_memory_of_successors_is_refused_where_there_are_none() -> None:
    with pytest.raises(ValueError, match="successor_memory uses successors"):
        resolve(TrainSettings, {**FOLDERS, "successor_memory": True, "objective": "mlm"})


def test_without_validation_cells_the_model_goes_without(tiny_data_dir, tmp_path, caplog) -> None:
    shutil.rmtree(tiny_data_dir / "val")
    best = train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **TINY)
    assert load_model(best).memory is None
    assert "so the model gets no memory" in caplog.text


@pytest.mark.slow
def test_evaluate_and_doctor_show_the_memory_and_export_says_that_it_stays_behind(
    tiny_data_dir, tmp_path, capsys
) -> None:
    best = train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **TINY)
    doctor(first=best)
    assert "39 training cells; " in capsys.readouterr().out
    evaluate(checkpoint=best, data_dir=tiny_data_dir, max_cells=3)
    mixing = load_model(best).memory.mixing
    assert f"\nThe model's answer is {mixing}.\n" in capsys.readouterr().out
    folder = export(checkpoint=best, output_dir=tmp_path / "exported")
    printed = capsys.readouterr().out
    assert "other tools do not support the memory of training cells" in printed
    assert "other tools do not support the changes of the bias from rank to rank" in printed
    assert (folder / "README.md").is_file()


@pytest.mark.slow
def test_a_run_that_goes_on_from_a_remembering_checkpoint_remembers_anew(
    tiny_data_dir, tmp_path
) -> None:
    folders = {"data_dir": tiny_data_dir, "output_dir": tmp_path / "run"}
    settings = {**TINY, "max_steps": -1, "num_epochs": 1}
    first = train_temporal_geneformer(**folders, **settings)
    memory = load_model(first).memory
    settings |= {"num_epochs": 3, "resume_from_checkpoint": str(first)}
    second = train_temporal_geneformer(**folders, **settings)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["geneformer_t"]["memory"] is None
    assert second != first
    points = load_model(second).memory.index.points
    assert not np.allclose(points, memory.index.points)


@pytest.mark.slow
def test_fine_tuning_takes_its_sizes_from_the_weights_and_remembers(
    tiny_data_dir, tmp_path
) -> None:
    split = tiny_data_dir / "train"
    vocab = GeneVocab.read(split / "geneformer.vocab", split / "medians.json")
    tokens = ["<pad>", "<mask>", *vocab.genes]
    write_foreign(tmp_path / "weights", tokens, dict(vocab.medians), max_position_embeddings=64)
    best = train_temporal_geneformer(
        recipe="finetune", pretrained=str(tmp_path / "weights"), data_dir=tiny_data_dir,
        output_dir=tmp_path / "run", seq_length=64, max_steps=3, num_workers=0,
        accelerator="cpu", final_evaluation=False,
    )  # fmt: skip
    model = load_model(best)
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (16, 2)
    assert model.memory is not None
    bias = model.net.cls.predictions.rank_bias
    assert not bias.start.any()  # the pretrained head knows how frequent genes are
    assert bias.change.any()
