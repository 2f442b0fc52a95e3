"""The splits of a data folder as training reads them, and what must succeed before its first step.

`TemporalGeneformerDataModule` adds Lightning's batches to it; `doctor` needs none of these.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.fingerprints import provenance_of
from bionemo.geneformer_t.data.folder import TEST, TRAIN, VAL, check_folder, shared_vocab
from bionemo.geneformer_t.data.successor_cache import cached_successors
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.token_cache import with_cache
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.vocab import GeneVocab


class TrainingSplits:
    """The pairs of the train, val and test folders of `data_dir`.

    Args:
        data_dir: Holds `train`, and maybe `val` and `test`; the vocabulary and medians are those of
            `train`.
        settings: How cells become pairs.
        token_cache: Encode all cells once and keep them beside the converted data.
        cache_dir: Where converted data are kept; see `CellStore.open`.

    Raises:
        FileNotFoundError: No such folder, or no `train` in it.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: PairSettings,
        *,
        token_cache: bool = True,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__()  # Lightning's, where a data module is made
        self.data_dir = data_dir
        self.settings = settings
        self.token_cache = token_cache
        self.cache_dir = cache_dir
        self._stores: dict[str, CellStore] = {}
        check_folder(data_dir)

    @property
    def has_val(self) -> bool:
        """Whether there is a folder `val`."""
        return (self.data_dir / VAL).is_dir()

    @property
    def has_test(self) -> bool:
        """Whether there is a folder `test`."""
        return (self.data_dir / TEST).is_dir()

    @cached_property
    def vocab(self) -> GeneVocab:
        """The vocabulary of the training cells; the other splits' must be the same."""
        return shared_vocab(self.data_dir)

    def store(self, split: str) -> CellStore:
        """The cells of a split; opened, and converted where that is needed, once."""
        if split not in self._stores:
            self._stores[split] = CellStore.open(self.data_dir / split, self.cache_dir)
        return self._stores[split]

    @cached_property
    def train(self) -> TemporalGeneformerDataset:
        """The pairs of `train`."""
        return self._dataset(TRAIN)

    @cached_property
    def provenance(self) -> Provenance:
        """What a checkpoint records of the training cells."""
        return provenance_of(self.train)

    @cached_property
    def val(self) -> TemporalGeneformerDataset | None:
        """The pairs of `val`, if there is such a folder."""
        return self._dataset(VAL) if self.has_val else None

    @cached_property
    def test(self) -> TemporalGeneformerDataset | None:
        """The pairs of `test`, if there is such a folder."""
        return self._dataset(TEST) if self.has_test else None

    def checks(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What must succeed before the first step, in training's order, and the split it is about.

        Training ends with the first that raises; `doctor` calls all and lists what they raise.
        """
        yield TRAIN, lambda: self.vocab
        for split in (TRAIN, VAL, TEST):
            if (self.data_dir / split).is_dir():
                yield split, partial(self._convert, split)
        yield TRAIN, lambda: self.train
        yield TRAIN, lambda: self.provenance
        yield VAL, lambda: self.val

    def _convert(self, split: str) -> None:
        """Bring the cells, graph and tokens of a split into the cache."""
        store = self.store(split)
        if self.settings.objective == "next_cell":
            cached_successors(self.data_dir / split, store, self.settings.neighbor_key)
        tokens = CellTokens(store, self.vocab, self.settings)  # counts genes, once
        if self.token_cache:
            with_cache(tokens)

    def _dataset(self, split: str) -> TemporalGeneformerDataset:
        scoring, given = self.settings.for_scoring(), self.settings
        as_trained = replace(  # the best checkpoint is the best at what is asked for
            scoring,
            contrastive_weight=given.contrastive_weight,
            successor_steps=given.successor_steps,
            time_gap_key=given.time_gap_key,
        )
        return TemporalGeneformerDataset.from_folder(
            self.data_dir / split,
            self.vocab,
            {TRAIN: given, VAL: as_trained}.get(split, scoring),
            token_cache=self.token_cache,
            store=self.store(split),
        )
