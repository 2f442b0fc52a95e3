"""Geneformer's layouts go in, train on human cells, come out, and mean the same at each border."""

import pickle

import pytest
import torch
from foreign import V1, V2, foreign_model
from safetensors.torch import load_file
from transformers import BertForMaskedLM

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.export import export
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # the specification's bound for float32


def our_logits(model, cell):
    with torch.no_grad():
        groups = CellOffsets.of(torch.tensor([0, len(cell)]))
        net = model.net.eval()
        return net.cls.predictions(net.bert.read(cell, groups, ATTENTION_BACKENDS["per_cell"]))


def their_logits(model, cell):
    with torch.no_grad():
        return model.eval()(cell[None]).logits[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "name"), [(V1, "geneformer-gc30M"), (V2, "geneformer-gc95M")], ids=["V1", "V2"]
)
def test_a_checkpoint_goes_in_trains_on_human_cells_and_comes_out(real_data, tmp_path, sizes, name):
    dictionaries = {"dictionaries": real_data / "geneformer_dictionaries"}
    theirs = foreign_model(**sizes)
    theirs.save_pretrained(tmp_path / "weights")
    prepare(
        input=real_data / "ipsc_cm_human.h5ad", output_dir=tmp_path / "data", time_key="day",
        vocab=name, pictures=False, **dictionaries,
    )  # fmt: skip
    data = TemporalGeneformerDataModule(tmp_path / "data", objective="mlm", seq_length=402)
    start = {"pretrained": str(tmp_path / "weights"), "pretrained_vocab": name, **dictionaries}
    settings = {
        "seq_length": 256, "micro_batch_size": 4, "num_workers": 0, "accelerator": "cpu",
        "max_steps": 4, "limit_val_batches": 2, "dropout_prob": 0.0,
        "final_evaluation": False,
    }  # fmt: skip

    # in: the published ids come first in our vocabulary, so that one cell is both models' input
    before = train_temporal_geneformer(
        data_dir=tmp_path / "data", output_dir=tmp_path / "still", **start,
        **{**settings, "max_steps": 1, "learning_rate": 1e-60},  # 0 in float32
    )  # fmt: skip
    cells = [torch.from_numpy(data.train.tokens.encode(row)[:400]) for row in (0, 50, 100)]
    model = TemporalGeneformerModel.load_from_checkpoint(before)
    for cell in cells:
        mine, expected = our_logits(model, cell), their_logits(theirs, cell)
        torch.testing.assert_close(mine[:, : sizes["vocab_size"]], expected, **TOLERANCE)

    # out, untouched: every published row and tensor keeps its bits
    export(checkpoint=before, output_dir=tmp_path / "untouched")
    original = load_file(tmp_path / "weights" / "model.safetensors")
    exported = load_file(tmp_path / "untouched" / "model.safetensors")
    assert set(exported) == set(original)
    for tensor_name, tensor in original.items():
        if "token_type" not in tensor_name:  # no plain Geneformer was trained with type 1
            assert torch.equal(exported[tensor_name][: len(tensor)], tensor), tensor_name

    # trained, then out: transformers computes what we compute
    after = train_temporal_geneformer(
        data_dir=tmp_path / "data", output_dir=tmp_path / "run", **start, **settings
    )
    trained = TemporalGeneformerModel.load_from_checkpoint(after)
    export(checkpoint=after, output_dir=tmp_path / "exported")
    back = BertForMaskedLM.from_pretrained(tmp_path / "exported")
    for cell in cells:
        mine = our_logits(trained, cell)
        torch.testing.assert_close(mine, their_logits(back, cell), **TOLERANCE)
        assert not torch.allclose(mine, our_logits(model, cell), **TOLERANCE)

    # and in again, where it is the same model
    again = TemporalGeneformerModel.from_pretrained(tmp_path / "exported")
    assert again.vocab.fingerprint == trained.vocab.fingerprint
    assert again.start.initialised == ()
    for tensor_name, tensor in trained.net.state_dict().items():
        assert torch.equal(again.net.state_dict()[tensor_name], tensor), tensor_name
    tokens = pickle.loads((tmp_path / "exported" / "token_dictionary.pkl").read_bytes())
    assert len(tokens) == len(trained.vocab)
