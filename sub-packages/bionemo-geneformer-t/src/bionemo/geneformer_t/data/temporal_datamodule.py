"""TemporalGeneformerDataModule: a data folder's splits as batches, for Lightning."""

import inspect
import logging
from pathlib import Path
from typing import Any

import lightning as L

from bionemo.geneformer_t.config import (
    MICRO_BATCH_SIZE,
    PairSettings,
    check_batch_size,
)
from bionemo.geneformer_t.data.batching import Batching, BySize, ByTokens
from bionemo.geneformer_t.data.folder import TEST, TRAIN, VAL
from bionemo.geneformer_t.data.loader import CellBatchSampler, PairLoader, next_batch, pair_loader
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.training_splits import TrainingSplits
from bionemo.geneformer_t.setting_values import typed

logger = logging.getLogger(__name__)

SPLITS_OF_STAGE = {
    "fit": (TRAIN, VAL),
    "validate": (VAL,),
    "test": (TEST,),
    None: (TRAIN, VAL, TEST),
}


class TemporalGeneformerDataModule(TrainingSplits, L.LightningDataModule):
    """Batches of the train, val and test folders of `data_dir`.

    Args:
        data_dir: Holds `train`, and maybe `val` and `test`, each with data.h5ad and neighbors.json;
            the vocabulary and medians are those of `train`.
        pairs: How cells become pairs; or its fields one by one, such as `seq_length=1024`.
        micro_batch_size: Current cells for each process and step.
        max_tokens_per_batch: Instead, the most tokens for each process and step: those of the
            current cells, their special tokens, and the scored genes of the next cells.
        num_workers: Processes that make batches; 0 makes them in the training process.
        prefetch_factor: Batches that each of these has ready at least; small ones are made in
            groups of about 64 pairs.
        token_cache: Encode all cells once and keep them beside the converted data.
        cache_dir: Where converted data are kept; see `CellStore.open`.
        fields: Those of `PairSettings`, where `pairs` is not given.

    Raises:
        FileNotFoundError: No such folder, or no `train` in it.
        TypeError: There is no such setting, it is no plain value of its type, or it is given twice.
        ValueError: A setting is out of range.

    Example:
        >>> data = gft.TemporalGeneformerDataModule("data/mine", seq_length=256, micro_batch_size=4)
        >>> data.setup()
        >>> batch = next(iter(data.train_dataloader()))
    """

    def __init__(
        self,
        data_dir: Path | str,
        pairs: PairSettings | None = None,
        *,
        micro_batch_size: int = MICRO_BATCH_SIZE,
        max_tokens_per_batch: int | None = None,
        num_workers: int = 0,
        prefetch_factor: int = 4,
        token_cache: bool = True,
        cache_dir: Path | str | None = None,
        **fields: Any,
    ) -> None:
        if pairs is not None and fields:
            raise TypeError(f"give pairs, or {', '.join(fields)} one by one; not both")
        settings = pairs or PairSettings(**fields)
        plain = typed(TemporalGeneformerDataModule.__init__, {
            "data_dir": data_dir,
            "micro_batch_size": micro_batch_size,
            "max_tokens_per_batch": max_tokens_per_batch,
            "num_workers": num_workers,
            "prefetch_factor": prefetch_factor,
            "token_cache": token_cache,
            "cache_dir": cache_dir,
        })  # fmt: skip
        check_batch_size(plain["micro_batch_size"], plain["max_tokens_per_batch"])
        if plain["prefetch_factor"] < 1:
            raise ValueError(f"prefetch_factor must be at least 1; got {prefetch_factor}")
        if plain["num_workers"] < 0:
            raise ValueError(f"num_workers must not be negative; got {num_workers}")
        super().__init__(
            Path(plain["data_dir"]),
            settings,
            token_cache=plain["token_cache"],
            cache_dir=None if plain["cache_dir"] is None else Path(plain["cache_dir"]),
        )
        self.micro_batch_size: int = plain["micro_batch_size"]
        self.max_tokens_per_batch: int | None = plain["max_tokens_per_batch"]
        self.num_workers: int = plain["num_workers"]
        self.prefetch_factor: int = plain["prefetch_factor"]
        self._resumed_at: tuple[int, int] | None = None

    def prepare_data(self) -> None:
        """Convert, encode and check the splits, in one process, before the others need them."""
        for _, check in self.checks():
            check()
        if not self.has_val:
            logger.warning("%s holds no folder %r: training without validation", self.data_dir, VAL)
        if not self.has_test:
            logger.info("%s holds no folder %r", self.data_dir, TEST)

    def setup(self, stage: str | None = None) -> None:
        """Open the splits of a stage: `fit`, `validate`, `test` or, for None, all."""
        self._resumed_at = None
        for split in SPLITS_OF_STAGE.get(stage, ()):
            getattr(self, split)  # opens it, and keeps it
        if stage == "fit" and not self.has_val and self.trainer is not None:
            self.trainer.limit_val_batches = 0  # an empty list alone makes Lightning warn

    def train_dataloader(self) -> PairLoader:
        """Shuffled batches; each epoch draws other successors and masks.

        A run that resumes from a checkpoint inside an epoch goes on with the batch that is next;
        Lightning alone would start the epoch's batches again.
        """
        loader = self._loader(self.train, shuffle=True)
        if self.trainer is not None:
            loader.resume(*(self._resumed_at or next_batch(self.trainer)))
        return loader

    def num_train_batches(self, trainer: L.Trainer) -> int:
        """Micro-batches that each process of a trainer gets in an epoch."""
        return self._batching(self.train, trainer).number // trainer.world_size

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the batch in it that training goes on with.

        A checkpoint carries it because the batches may be asked for before Lightning has restored
        its own progress: a model that plans its learning rate by the length of the run does so.
        """
        return {} if self.trainer is None else data_state(*next_batch(self.trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self._resumed_at = (state_dict["epoch"], state_dict["batch"])

    def val_dataloader(self) -> PairLoader | list[PairLoader]:
        """The same batches every time; no loader where there is no `val`."""
        return [] if self.val is None else self._loader(self.val, shuffle=False)

    def test_dataloader(self) -> PairLoader | list[PairLoader]:
        """The same batches every time; no loader where there is no `test`."""
        return [] if self.test is None else self._loader(self.test, shuffle=False)

    def _loader(self, dataset: TemporalGeneformerDataset, *, shuffle: bool) -> PairLoader:
        trainer = self.trainer
        sampler = CellBatchSampler(
            dataset,
            self._batching(dataset, trainer),
            num_replicas=1 if trainer is None else trainer.world_size,
            rank=0 if trainer is None else trainer.global_rank,
            seed=self.settings.seed,
            shuffle=shuffle,
        )
        return pair_loader(
            dataset,
            sampler,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch_factor,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )

    def _batching(self, dataset: TemporalGeneformerDataset, trainer: L.Trainer | None) -> Batching:
        ranks = 1 if trainer is None else trainer.world_size
        costs = dataset.most_tokens()
        if self.max_tokens_per_batch is not None:
            return ByTokens(costs=costs, budget=self.max_tokens_per_batch, ranks=ranks)
        accumulated = 1 if trainer is None else trainer.accumulate_grad_batches
        return BySize(costs=costs, size=self.micro_batch_size, ranks=ranks, accumulated=accumulated)


def data_state(epoch: int, batch: int) -> dict[str, Any]:
    """What a checkpoint holds of the data module."""
    return {"epoch": epoch, "batch": batch}


_own = list(inspect.signature(TemporalGeneformerDataModule.__init__).parameters.values())[1:-1]
TemporalGeneformerDataModule.__signature__ = inspect.Signature(
    [*_own, *inspect.signature(PairSettings).parameters.values()]
)
"""What `help` shows: the fields of `PairSettings` with their defaults, each by its name."""
