"""The contents of a checkpoint beside its weights: their meaning and their origin.

A training run adds what it needs to be resumed (`training/checkpointing.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

import bionemo.geneformer_t as package
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.model.isolation import ISOLATION_RULE_VERSION
from bionemo.geneformer_t.model.knn_memory import HIDDEN, KnnInterpolation
from bionemo.geneformer_t.model.time_gap import TrainedGaps
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.weight_checks import DamagedWeightsError
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.model.weights.vocabulary_transfer import StartReport
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.setting_values import plain_entry
from bionemo.geneformer_t.training_cells import TrainingCells
from bionemo.geneformer_t.vocab import GeneVocab

T = TypeVar("T")
_WITH_VALUES = (
    "vocab", "pair_settings", "start", "provenance", "axes", "memory", "training_cells",
    "transitions", "time_gaps",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CheckpointEntry:
    """The entry of a checkpoint that only this package reads."""

    vocab: GeneVocab | None
    pair_settings: PairSettings | None
    lora_scale: float | None
    """What low-rank updates are multiplied by, where the weights hold any."""
    start: StartReport | None
    provenance: Provenance | None
    axes: CanonicalAxes | None
    memory: KnnInterpolation | None
    training_cells: TrainingCells | None
    transitions: TransitionFit | None
    time_gaps: TrainedGaps | None

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> "CheckpointEntry":
        """The entry of a checkpoint; what an older version did not write is None.

        Raises:
            ValueError: As `checkpoint_entry` says.
        """
        values = checkpoint_entry(checkpoint)

        def read(name: str, build: Callable[[Any], T]) -> T | None:
            return None if values.get(name) is None else build(values[name])

        return cls(
            vocab=read("vocab", GeneVocab.from_dict),
            pair_settings=read("pair_settings", PairSettings.from_dict),
            lora_scale=values.get("lora_scale"),
            start=read("start", StartReport.from_dict),
            provenance=read("provenance", Provenance.from_dict),
            axes=read("axes", CanonicalAxes.from_dict),
            memory=read("memory", KnnInterpolation.from_dict),
            training_cells=read("training_cells", TrainingCells.from_dict),
            transitions=read("transitions", TransitionFit.from_dict),
            time_gaps=read("time_gaps", TrainedGaps.from_dict),
        )

    def check_axes(self) -> None:
        """Refuse canonical axes that do not go with vocabulary, memory and transitions.

        Raises:
            DamagedWeightsError: Names what contradicts what.
        """
        if self.axes is not None and self.vocab is not None:
            self.axes.check(len(self.vocab))
        number = 0 if self.axes is None else len(self.axes)
        if self.memory is not None and self.memory.mixing.space != HIDDEN:
            columns = self.memory.index.points.shape[1]
            if columns != number:
                raise DamagedWeightsError(
                    f"its memory searches along {columns} canonical axes, and it holds {number}. "
                    "Copy the file again, or train again"
                )
        if self.transitions is not None and self.transitions.choice.axes_weight and not number:
            raise DamagedWeightsError(
                "its transitions were fitted with canonical axes, and it holds none. Copy the file "
                "again, or train again"
            )

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, with the versions of the package and of the isolation rule.

        Raises:
            TypeError: Something in it is neither; names its place.
        """
        entry = {
            "version": package.__version__,
            "isolation_rule": ISOLATION_RULE_VERSION,
            "lora_scale": self.lora_scale,
            **{
                name: None if getattr(self, name) is None else getattr(self, name).to_dict()
                for name in _WITH_VALUES
            },
        }
        plain: dict[str, Any] = plain_entry(entry, CHECKPOINT_KEY, kept=torch.Tensor)
        return plain


def checkpoint_entry(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry of a checkpoint that only this package reads, as plain values.

    Raises:
        ValueError: It is another program's, or the weights learned under another isolation rule.
    """
    if CHECKPOINT_KEY not in checkpoint:
        raise ValueError(
            "this checkpoint holds no Geneformer-T model: it lacks the entry "
            f"{CHECKPOINT_KEY!r}; it holds {', '.join(map(str, checkpoint))}"
        )
    entry: Mapping[str, Any] = checkpoint[CHECKPOINT_KEY]
    rule = entry.get("isolation_rule", 1)
    if rule != ISOLATION_RULE_VERSION:
        raise ValueError(
            f"this checkpoint was trained under isolation rule {rule} by geneformer-t "
            f"{entry.get('version')}; this is geneformer-t {package.__version__} with rule "
            f"{ISOLATION_RULE_VERSION}, under which the weights mean something else. Install the "
            "version that wrote it"
        )
    return entry
