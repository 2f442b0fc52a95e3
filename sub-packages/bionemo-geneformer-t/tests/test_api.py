"""The public paths, signatures and defaults that users build on."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.llm.model.biobert import BioBertConfig

REQUIRED = inspect.Parameter.empty

TRAINING = {
    "data_dir": REQUIRED,
    "output_dir": REQUIRED,
    "config": None,
    "seq_length": 2048,
    "mask_prob": 0.15,
    "mask_token_prob": 0.8,
    "random_token_prob": 0.1,
    "neighbor_key": "next_cell_ids",
    "only_cells_with_neighbors": True,
    "no_neighbor_policy": None,  # follows only_cells_with_neighbors
    "token_selection_policy": "identity",
    "normalize_gene_expression": True,
    "target_sum": 10_000,
    "micro_batch_size": 8,
    "global_batch_size": None,
    "num_epochs": 10,
    "max_steps": -1,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "warmup_steps": None,
    "gradient_clip_val": 1.0,
    "early_stopping_patience": None,
    "save_top_k": 1,
    "val_check_interval": None,
    "hidden_size": 512,
    "num_layers": 8,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "dropout_prob": 0.1,
    "position_scheme": "continued",
    "accelerator": "auto",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "precision": "32-true",
    "num_workers": 2,
    "use_wandb": False,
    "wandb_project": "temporal-geneformer",
    "limit_train_batches": None,
    "limit_val_batches": None,
    "resume_from_checkpoint": None,
    "seed": 42,
}

MODEL = {
    "vocab_size": 25426,
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "max_position_embeddings": 2048,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def defaults(function) -> dict[str, object]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def assert_pinned(function, expected: dict[str, object]) -> None:
    found = defaults(function)
    assert {name: found[name] for name in expected} == expected


def test_training_takes_the_specified_settings():
    assert_pinned(train_temporal_geneformer, TRAINING)
    assert inspect.signature(train_temporal_geneformer).return_annotation is Path


def test_the_model_configuration_has_the_specified_defaults():
    assert_pinned(BioBertConfig, MODEL)


def test_the_data_module_shares_the_pair_settings_defaults():
    shared = {
        k: v for k, v in defaults(TemporalGeneformerDataModule).items() if k in vars(PairSettings())
    }
    assert shared == {field.name: field.default for field in fields(PairSettings)}
    assert_pinned(TemporalGeneformerDataModule, {"data_dir": REQUIRED, "micro_batch_size": 8})


def test_the_model_predicts_by_the_specified_signature():
    assert next(iter(defaults(TemporalGeneformerModel))) == "config"
    found = defaults(TemporalGeneformerModel.predict_next_cell)
    assert list(found)[:4] == ["self", "current_cell_ids", "attention_mask", "num_predictions"]
    assert found["num_predictions"] == 10


@pytest.mark.parametrize("name", ["from_folder", "example", "__getitem__"])
def test_the_dataset_has_its_methods(name):
    assert callable(getattr(TemporalGeneformerDataset, name))
