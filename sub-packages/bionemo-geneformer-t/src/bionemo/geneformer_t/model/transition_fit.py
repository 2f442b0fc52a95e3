"""TransitionFit: how scores of candidate cells become probabilities, chosen on validation cells.

It is part of a checkpoint, beside the weights and the kNN memory that it was chosen for.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged


@dataclass(frozen=True, kw_only=True)
class TransitionFit:
    """A choice, what it was made on, and the reference contexts of the scores."""

    choice: TransitionChoice
    references: Ragged
    """Genes of a sample of training cells in rank order, as the model reads them."""
    num_contexts: int
    """Validation cells with successors that the choice was made on."""
    num_candidates: int
    """Validation cells that each of their successors was to be found among."""
    spread: float
    """Weight of equal probabilities beside the matrix, for successors that it does not keep."""
    log_likelihood: float
    """Of both together: mean over the contexts, in nats for one true successor."""
    uniform: float
    """The same where every candidate is equally probable."""

    def __str__(self) -> str:
        return (
            f"{self.choice}; fitted on the successors of {self.num_contexts:,} validation cells "
            f"among {self.num_candidates:,} candidates: log-likelihood {self.log_likelihood:.3f} "
            f"nats a successor with {self.spread:.1%} spread evenly, where equal probabilities "
            f"have {self.uniform:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        return {
            "choice": asdict(self.choice),
            "genes": torch.from_numpy(self.references.values),
            "gene_offsets": torch.from_numpy(self.references.offsets),
            "num_contexts": self.num_contexts,
            "num_candidates": self.num_candidates,
            "spread": self.spread,
            "log_likelihood": self.log_likelihood,
            "uniform": self.uniform,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TransitionFit":
        """The inverse of `to_dict`."""
        genes, offsets = (values[name].cpu().numpy() for name in ("genes", "gene_offsets"))
        return cls(
            choice=TransitionChoice(**values["choice"]),
            references=Ragged(values=genes, offsets=offsets),
            num_contexts=values["num_contexts"],
            num_candidates=values["num_candidates"],
            spread=values["spread"],
            log_likelihood=values["log_likelihood"],
            uniform=values["uniform"],
        )
