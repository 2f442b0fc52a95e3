import json
import logging
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.vocab import GeneVocab


class Recorder(L.LightningModule):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[tuple[int, list[int], int]] = []
        self.validated: list[tuple[list[int], int]] = []

    def training_step(self, batch: TemporalBatch, _: int) -> torch.Tensor:
        shown = int(batch.scored_ids.sum())
        self.trained.append((self.current_epoch, batch.cells.tolist(), shown))
        return self.weight.sum()

    def validation_step(self, batch: TemporalBatch, _: int) -> None:
        self.validated.append((batch.cells.tolist(), int(batch.scored_ids.sum())))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # As the model does; it makes Lightning ask for the batches before a checkpoint is restored.
        assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data: TemporalGeneformerDataModule, epochs: int = 2, **trainer: Any) -> Recorder:
    model = Recorder()
    checkpoint = trainer.pop("ckpt_path", None)
    L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        **{"enable_checkpointing": False, **trainer},
    ).fit(model, data, ckpt_path=checkpoint)  # fmt: skip
    return model


def test_a_bare_trainer_sees_every_cell_once_an_epoch(tiny_data_dir: Path) -> None:
    model = fit(TemporalGeneformerDataModule(tiny_data_dir, micro_batch_size=16))
    for epoch in range(2):
        cells = [cell for e, batch, _ in model.trained for cell in batch if e == epoch]
        assert sorted(cells) == list(range(39))
    assert model.trained[0] != model.trained[3]


def test_validation_shows_the_same_masks_every_time(tiny_data_dir: Path) -> None:
    model = fit(TemporalGeneformerDataModule(tiny_data_dir, micro_batch_size=8))
    first, second = model.validated[:2], model.validated[2:]
    assert first == second
    assert [cell for batch, _ in first for cell in batch] == list(range(15))


def test_workers_change_nothing(tiny_data_dir: Path) -> None:
    alone, workers = (
        fit(TemporalGeneformerDataModule(tiny_data_dir, num_workers=n)) for n in (0, 2)
    )
    assert alone.trained == workers.trained
    assert alone.validated == workers.validated


def test_a_budget_of_tokens_holds_for_what_the_model_gets(tiny_data_dir: Path) -> None:
    budget = 100
    data = TemporalGeneformerDataModule(tiny_data_dir, max_tokens_per_batch=budget)
    batches = list(data.train_dataloader())
    assert sorted(cell for batch in batches for cell in batch.cells.tolist()) == list(range(39))
    tokens = [len(batch.context_ids) + batch.num_scored for batch in batches]
    assert max(tokens) <= budget
    assert sum(tokens) > 0.8 * budget * len(batches)


def test_a_cell_beyond_the_budget_is_refused_with_the_numbers(tiny_data_dir: Path) -> None:
    data = TemporalGeneformerDataModule(tiny_data_dir, max_tokens_per_batch=10)
    with pytest.raises(ValueError, match="max_tokens_per_batch is 10, and the largest example"):
        data.train_dataloader()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # each run keeps its own checkpoints
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("when", [{"every_n_train_steps": 1}, {"every_n_epochs": 1}])
@pytest.mark.parametrize("size", [{"micro_batch_size": 10}, {"max_tokens_per_batch": 340}])
def test_a_resumed_run_goes_on_with_the_batch_that_is_next(
    tiny_data_dir: Path,
    tmp_path: Path,
    num_workers: int,
    when: dict[str, int],
    size: dict[str, int],
) -> None:
    def run(folder: str, checkpoint: Path | None = None) -> list[tuple[int, list[int], int]]:
        data = TemporalGeneformerDataModule(tiny_data_dir, **size, num_workers=num_workers)
        keep_all = ModelCheckpoint(tmp_path / folder, "{step}", save_top_k=-1, **when)
        return fit(
            data, limit_val_batches=0, callbacks=[keep_all], enable_checkpointing=True,
            ckpt_path=checkpoint,
        ).trained  # fmt: skip

    whole = run("whole")
    steps = [2, 4, 5] if "every_n_train_steps" in when else [4]
    for step in steps:
        assert run(f"from_{step}", tmp_path / "whole" / f"step={step}.ckpt") == whole[step:]


@pytest.mark.slow
def test_spawned_workers_make_the_same_batches(tiny_data_dir: Path) -> None:
    data = TemporalGeneformerDataModule(tiny_data_dir, num_workers=1)
    loader = data.val_dataloader()
    assert isinstance(loader, torch.utils.data.DataLoader)
    loader.multiprocessing_context = multiprocessing.get_context("spawn")
    expected = TemporalGeneformerDataModule(tiny_data_dir).val_dataloader()
    for spawned, here in zip(loader, expected, strict=True):
        assert torch.equal(spawned.scored_ids, here.scored_ids)
        assert torch.equal(spawned.context_ids, here.context_ids)


@pytest.mark.parametrize("present", [[], ["val"], ["test"]])
def test_val_and_test_may_be_missing(
    tiny_data_dir: Path, present: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for split in {"val", "test"} - set(present):
        shutil.rmtree(tiny_data_dir / split)
    caplog.set_level(logging.INFO)
    data = TemporalGeneformerDataModule(tiny_data_dir)
    model = fit(data, epochs=1)
    assert model.trained
    assert bool(model.validated) == data.has_val == ("val" in present)
    assert ("holds no folder 'val': training without validation" in caplog.text) == (
        "val" not in present
    )
    assert (data.val is None) == ("val" not in present)
    assert (data.test_dataloader() == []) == ("test" not in present)


def test_validation_and_test_can_be_run_alone(tiny_data_dir: Path) -> None:
    model = Recorder()
    model.test_step = model.validation_step  # type: ignore[assignment]
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    data = TemporalGeneformerDataModule(tiny_data_dir)
    trainer.validate(model, data, verbose=False)
    trainer.test(model, data, verbose=False)
    assert len(model.validated) == 4


def test_settings_have_the_defaults_of_pair_settings(tiny_data_dir: Path) -> None:
    assert TemporalGeneformerDataModule(tiny_data_dir).settings == PairSettings()
    whole = PairSettings(seq_length=128)
    assert TemporalGeneformerDataModule(tiny_data_dir, whole).settings is whole
    with pytest.raises(TypeError, match="give pairs, or seq_length one by one; not both"):
        TemporalGeneformerDataModule(tiny_data_dir, whole, seq_length=64)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sequence_length'"):
        TemporalGeneformerDataModule(tiny_data_dir, sequence_length=64)
    data = TemporalGeneformerDataModule(
        str(tiny_data_dir), seq_length=64, mask_prob=0.3, neighbor_key="trajectory_neighbors"
    )
    assert data.settings == PairSettings(
        seq_length=64, mask_prob=0.3, neighbor_key="trajectory_neighbors"
    )
    data.setup(None)
    assert data.test is not None
    assert data.test.settings == data.settings


def test_the_vocabulary_is_that_of_the_training_cells(tiny_data_dir: Path) -> None:
    for split in ("val", "test"):
        for name in ("geneformer.vocab", "medians.json"):
            (tiny_data_dir / split / name).unlink()
    data = TemporalGeneformerDataModule(tiny_data_dir)
    assert len(data.vocab) == 28 + 5
    assert data.val is not None
    assert data.val.vocab is data.vocab


def test_another_vocabulary_in_another_split_is_refused(tiny_data_dir: Path) -> None:
    medians = json.loads((tiny_data_dir / "val" / "medians.json").read_text())
    (tiny_data_dir / "val" / "medians.json").write_text(json.dumps(medians, indent=4))
    assert TemporalGeneformerDataModule(tiny_data_dir).vocab  # written otherwise, but the same
    medians[next(iter(medians))] += 1
    (tiny_data_dir / "val" / "medians.json").write_text(json.dumps(medians))
    with pytest.raises(
        ValueError, match=r"val has another vocabulary or other medians than .*train"
    ):
        _ = TemporalGeneformerDataModule(tiny_data_dir).vocab


def test_medians_that_are_missing_or_wrong_are_named(tiny_data_dir: Path) -> None:
    path = tiny_data_dir / "train" / "medians.json"
    medians = json.loads(path.read_text())
    gene = next(iter(medians))
    path.write_text(json.dumps({**medians, gene: 0.0}))
    with pytest.raises(ValueError, match=rf"medians must be positive.*{gene}"):
        _ = TemporalGeneformerDataModule(tiny_data_dir).vocab
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"medians\.json"):
        _ = TemporalGeneformerDataModule(tiny_data_dir).vocab


def test_a_missing_data_dir_or_train_folder_says_what_is_expected(tiny_data_dir: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*expected .*train.*data\.h5ad"):
        TemporalGeneformerDataModule(tiny_data_dir / "nowhere")
    shutil.rmtree(tiny_data_dir / "train")
    with pytest.raises(FileNotFoundError, match=r"holds no train, only test, val; expected"):
        TemporalGeneformerDataModule(tiny_data_dir)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"micro_batch_size": 0}, "micro_batch_size must be at least 1"),
        ({"max_tokens_per_batch": 0}, "max_tokens_per_batch must be at least 1"),
        (
            {"max_tokens_per_batch": 99, "micro_batch_size": 4},
            "max_tokens_per_batch=99 and micro_batch_size=4 both say",
        ),
        ({"prefetch_factor": 0}, "prefetch_factor must be at least 1"),
        ({"num_workers": -1}, "num_workers must not be negative"),
        ({"seq_length": 4}, "seq_length must be at least 5"),
        ({"mask_token_prob": 0.95}, "must not exceed 1"),
    ],
)
def test_wrong_settings_are_refused_at_once(
    tiny_data_dir: Path, setting: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TemporalGeneformerDataModule(tiny_data_dir, **setting)  # type: ignore[arg-type]


def test_real_cells_become_batches(real_data: Path, tmp_path: Path) -> None:
    import anndata

    cells = anndata.read_h5ad(real_data / "ipsc_cm_human.h5ad")
    split = tmp_path / "data" / "train"
    split.mkdir(parents=True)
    shutil.copy(real_data / "ipsc_cm_human.h5ad", split / "data.h5ad")
    names = list(cells.obs_names)
    following = {cell: [names[i + 1]] for i, cell in enumerate(names[:-1])}
    (split / "neighbors.json").write_text(json.dumps({"next_cell_ids": following}))
    vocab = GeneVocab.of_genes(dict.fromkeys(cells.var_names[:10_000], 1.0))
    vocab.write(split / "geneformer.vocab", split / "medians.json")
    data = TemporalGeneformerDataModule(tmp_path / "data", seq_length=512)
    batches = list(data.train_dataloader())
    assert sum(batch.num_contexts for batch in batches) == len(names) - 1
    assert all(batch.context_offsets.diff().max() <= 254 + 2 for batch in batches)
    assert data.train.summary.genes_unknown == cells.n_vars - 10_000
