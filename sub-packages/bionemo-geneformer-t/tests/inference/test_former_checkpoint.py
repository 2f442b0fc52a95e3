"""A checkpoint that the program wrote before its modules moved is read, and answers as it did."""

import json
from pathlib import Path

import pytest
import torch

from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

FIXTURES = Path(__file__).parents[1] / "fixtures"
CHECKPOINT = FIXTURES / "before_the_rooms.ckpt"


def test_its_predictions_stay() -> None:
    then = json.loads((FIXTURES / "before_the_rooms.json").read_text(encoding="utf-8"))
    model = TemporalGeneformerModel.load_from_checkpoint(CHECKPOINT).eval()
    ids = torch.tensor(then["current_cell_ids"])
    now = model.predict_next_cell(
        current_cell_ids=ids, attention_mask=(ids > 0).long(), num_predictions=5
    )
    assert [list(genes) for genes in now.genes] == then["genes"]
    # processors round sums differently in the last bits of float32
    assert now.probabilities.numpy() == pytest.approx(torch.tensor(then["probabilities"]), rel=1e-5)


def test_it_holds_plain_values_and_tensors_alone() -> None:
    content = torch.load(CHECKPOINT, weights_only=True)
    assert content["state_dict"]
