"""No file that the program opens can run code or reach outside the folders it was given.

Each sample would leave a mark on the disk if anything in it ran.
"""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pytest
import torch

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cache import load_or_compute
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.dictionaries import read_dictionary
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.command import read_config
from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO, read_intact
from bionemo.geneformer_t.training.run_folder import RunRecord, checkpoint_to_resume
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.vocab import GeneVocab

YAML = "data_dir: !!python/object/apply:os.mkdir ['{mark}']\noutput_dir: x\n"


class Payload:
    """What a pickle looks like that makes a folder when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What appears when code in a file has run."""
    return tmp_path / "code_has_run"


def test_the_samples_would_leave_a_mark(mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "sample"
    torch.save({"state_dict": Payload(mark)}, path)
    torch.load(path, weights_only=False)
    assert mark.exists()


def in_checkpoint(payload: Payload, path: Path) -> None:
    torch.save({"state_dict": payload, "global_step": 1, "hyper_parameters": {}}, path)


def as_bare_pickle(payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": payload, "global_step": 1}))


def as_hidden_class(payload: Payload, path: Path) -> None:
    """A whole checkpoint whose pickle alone was exchanged."""
    torch.save({"state_dict": {"a": torch.zeros(2)}, "global_step": 1}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            is_pickle = name.endswith("data.pkl")
            archive.writestr(name, pickle.dumps({"state_dict": payload}) if is_pickle else content)


READERS: dict[str, Callable[[Path], object]] = {
    "load_from_checkpoint": TemporalGeneformerModel.load_from_checkpoint,
    "load_model": load_model,
    "read_intact": read_intact,
    "trainer": lambda path: SafeCheckpointIO().load_checkpoint(path, weights_only=False),
    "resume": lambda path: checkpoint_to_resume(
        TrainSettings(
            data_dir=path.parent, output_dir=path.parent, resume_from_checkpoint=str(path)
        )
    ),
    "pretrained": TemporalGeneformerModel.from_pretrained,
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # of the samples
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("write", [in_checkpoint, as_bare_pickle, as_hidden_class])
def test_checkpoints_cannot_run_code(reader, write, mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.ckpt"
    write(Payload(mark), path)
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        READERS[reader](path)
    assert not mark.exists()


def test_the_newest_checkpoint_cannot_run_code(mark: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    in_checkpoint(Payload(mark), tmp_path / "checkpoints" / "last.ckpt")
    settings = TrainSettings(data_dir=tmp_path, output_dir=tmp_path, resume_from_checkpoint="last")
    with pytest.raises(ValueError, match=r"all checkpoints in .* are damaged: last\.ckpt"):
        checkpoint_to_resume(settings)
    assert not mark.exists()


def test_a_checkpoint_cannot_name_a_function_that_builds_the_model(
    mark: Path, tmp_path: Path
) -> None:
    torch.save(
        {
            "state_dict": {}, "global_step": 1, "pytorch-lightning_version": "2.6.0",
            "hyper_parameters": {"_instantiator": "os.mkdir", "config": str(mark)},
        },
        tmp_path / "hostile.ckpt",
    )  # fmt: skip
    with pytest.raises(Exception, match="instantiator"):
        TemporalGeneformerModel.load_from_checkpoint(tmp_path / "hostile.ckpt")
    assert not mark.exists()


def test_weights_in_a_bin_cannot_run_code(mark: Path, tmp_path: Path) -> None:
    config = {"model_type": "bert", "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2, "intermediate_size": 24, "hidden_act": "relu",
              "max_position_embeddings": 64}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({"bert.embeddings": Payload(mark)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin was refused"):
        TemporalGeneformerModel.from_pretrained(tmp_path, pretrained_vocab="geneformer-gc30M")
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".pkl", ".pickle"])
def test_dictionaries_cannot_run_code(suffix: str, mark: Path, tmp_path: Path) -> None:
    path = tmp_path / f"tokens{suffix}"
    path.write_bytes(pickle.dumps({"ENSG0": Payload(mark)}))
    with pytest.raises(ValueError, match="asks to import"):
        read_dictionary(path)
    with pytest.raises(ValueError, match="asks to import"):
        GeneVocab.read(path, path)
    assert not mark.exists()


def test_settings_cannot_run_code(mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(YAML.format(mark=mark))
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_config(path, TrainSettings)
    record = RunRecord(TrainSettings(data_dir=tmp_path, output_dir=tmp_path), [], steps=1)
    trainer = SimpleNamespace(is_global_zero=True, loggers=[])
    record.on_train_start(trainer, SimpleNamespace(start=None))  # which reads the old one
    assert read_config(path, TrainSettings)["output_dir"] == str(tmp_path)
    assert not mark.exists()


def test_arrays_in_a_cache_cannot_run_code(mark: Path, tmp_path: Path, tiny_data_dir: Path) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    assert load_or_compute(path, lambda: np.arange(3)).tolist() == [0, 1, 2]
    store = CellStore.open(tiny_data_dir / "train")
    np.save(store.path / "total_counts.npy", np.array([Payload(mark)]), allow_pickle=True)
    assert len(CellStore.open(tiny_data_dir / "train").total_counts) == 40
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/b", "..", "\x1b[31m"])
def test_names_inside_inputs_are_never_paths(name: str, tmp_path: Path, tiny_data_dir) -> None:
    """Names of cells, of genes and of graphs, with what a path would make of them."""
    split = tmp_path / "deep" / "down" / "split"
    split.parent.mkdir(parents=True)
    shutil.copytree(tiny_data_dir / "train", split)
    cells = anndata.read_h5ad(split / "data.h5ad")
    names = [name, *cells.obs_names[1:]]
    cells.obs_names = names
    cells.write_h5ad(split / "data.h5ad")
    (split / "neighbors.json").write_text(json.dumps({name: {name: [names[1]]}}))
    before = {path for path in tmp_path.rglob("*") if split not in path.parents}
    dataset = TemporalGeneformerDataset.from_folder(
        split, settings=PairSettings(neighbor_key=name, seq_length=64)
    )
    assert dataset.names_of([0]) == [name]
    assert {path for path in tmp_path.rglob("*") if split not in path.parents} == before
    assert not Path("/tmp/escaped").exists()
