"""What a checkpoint carries beside its weights: what they mean, and where they come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

import bionemo.geneformer_t as package
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.model.isolation import ISOLATION_RULE_VERSION
from bionemo.geneformer_t.model.knn_memory import SuccessorMemory
from bionemo.geneformer_t.model.weights.lora import SCALE, has_adapters
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.model.weights.vocabulary_transfer import StartReport
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.setting_values import plain_entry
from bionemo.geneformer_t.vocab import GeneVocab

if TYPE_CHECKING:
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The entry of a checkpoint that only this package reads."""

    vocab: GeneVocab | None
    pair_settings: PairSettings | None
    lora_scale: float | None
    """What low-rank updates are multiplied by, where the weights hold any."""
    start: StartReport | None
    provenance: Provenance | None
    memory: SuccessorMemory | None

    @classmethod
    def of(cls, model: "TemporalGeneformerModel") -> "Carried":
        """What a model has to tell."""
        return cls(
            vocab=model.vocab,
            pair_settings=model.pair_settings,
            lora_scale=SCALE if has_adapters(model.state_dict()) else None,
            start=model.start,
            provenance=model.provenance,
            memory=model.memory,
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
                for name in ("vocab", "pair_settings", "start", "provenance", "memory")
            },
        }
        plain: dict[str, Any] = plain_entry(entry, CHECKPOINT_KEY, kept=torch.Tensor)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Carried":
        """The inverse of `to_dict`; what an older version did not write is None."""

        def read(name: str, build: Callable[[Any], T]) -> T | None:
            return None if values.get(name) is None else build(values[name])

        return cls(
            vocab=read("vocab", GeneVocab.from_dict),
            pair_settings=read("pair_settings", PairSettings.from_dict),
            lora_scale=values.get("lora_scale"),
            start=read("start", StartReport.from_dict),
            provenance=read("provenance", Provenance.from_dict),
            memory=read("memory", SuccessorMemory.from_dict),
        )


def carried_by(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands beside the weights of a checkpoint.

    Raises:
        ValueError: It is another program's, or the weights learned under another isolation rule.
    """
    if CHECKPOINT_KEY not in checkpoint:
        raise ValueError(
            "this checkpoint holds no Geneformer-T model: it lacks the entry "
            f"{CHECKPOINT_KEY!r}; it holds {', '.join(map(str, checkpoint))}"
        )
    carried: Mapping[str, Any] = checkpoint[CHECKPOINT_KEY]
    rule = carried.get("isolation_rule", 1)
    if rule != ISOLATION_RULE_VERSION:
        raise ValueError(
            f"this checkpoint was trained under isolation rule {rule} by geneformer-t "
            f"{carried.get('version')}; this is geneformer-t {package.__version__} with rule "
            f"{ISOLATION_RULE_VERSION}, under which the weights mean something else. Install the "
            "version that wrote it"
        )
    return carried
