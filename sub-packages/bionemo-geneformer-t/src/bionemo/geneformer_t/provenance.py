"""What a model was trained on, in plain values that travel in its checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

NEXT_CELL = "next_cell"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The training cells and the run that learned from them."""

    data_name: str
    """Name of the data folder, without its path."""
    data_fingerprint: str
    """Names and counts of the training cells; see `data.fingerprints`."""
    graph_fingerprint: str
    """Successors and weights, as training used them."""
    neighbor_key: str
    """Key of that graph."""
    num_cells: int
    """Cells of the training split."""
    num_examples: int
    """Those of them that served as current cells."""
    num_edges: int
    """Pairs of a cell and a successor."""
    seed: int
    """Drew masks and successors."""
    objective: str = NEXT_CELL
    """What the model was trained to do."""
    shuffled: bool = False
    """Whether successors were dealt to random current cells, as for a control."""
    pretrained: str | None = None
    """Where the weights came from at the start; None for random ones."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Provenance":
        """The inverse of `to_dict`; entries that only a newer version knows are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
