"""Recipe `auto`: the settings that suit the training cells at hand, and why.

Whatever is chosen is chosen on training cells alone, by their number and by held-out next cells.
The choice is a function of the data, the graph and the seed, so that a run that resumes makes it
again. Shuffled successors do not change it: a control has the settings of its model.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

MOST_FOR_SMALL = 20_000
"""Training cells with successors, up to which the network is small."""
NEIGHBORS = 20
"""`resampling_neighbors`, where drawing next cells anew helps."""
FEWEST_NEXT_CELLS = 30
"""Of the training cells; fewer cannot tell whether it helps."""
DRAWN: dict[str, Any] = {
    "resampling_neighbors": NEIGHBORS,
    "learning_rate": 2e-3,
    "num_epochs": 20,
}
"""Beside `small`, for cells that are drawn anew: no two epochs show the same noise, so that the
network can learn faster and longer."""
_NOT_COMPARED = (
    "shuffle_successors", "context_dropout", "resampling_neighbors", "contrastive_weight",
)  # fmt: skip
"""Settings of pairs that the choice does not depend on."""


class Choice(NamedTuple):
    """A recipe, further settings, and the reasons for both."""

    recipe: str
    settings: dict[str, Any]
    reasons: list[str]


def choose_recipe(given: Mapping[str, Any], small: Mapping[str, Any]) -> Choice:
    """The recipe for a training run, and what else the training cells ask for.

    Args:
        given: Settings of the run, by name; `data_dir` among them.
        small: Settings of the recipe `small`.

    Raises:
        FileNotFoundError: There are no training cells in `data_dir`.
        ValueError: They have no successors.
    """
    if given.get("pretrained") is not None:
        return Choice("finetune", {}, ["there are pretrained weights"])
    if "data_dir" not in given:  # which is refused in a moment
        return Choice("small", {}, ["there are no data"])
    if given.get("objective") == "mlm":
        return Choice("small", {}, ["objective 'mlm' learns no successors to compare"])
    from bionemo.geneformer_t.config import PairSettings
    from bionemo.geneformer_t.data.folder import TRAIN, check_folder, shared_vocab
    from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

    folder = Path(given["data_dir"])
    check_folder(folder)
    values = {**small, **given}
    pairs = {
        field.name: values[field.name]
        for field in fields(PairSettings)
        if field.name in values and field.name not in _NOT_COMPARED
    }
    dataset = TemporalGeneformerDataset.from_folder(
        folder / TRAIN, shared_vocab(folder), PairSettings(**pairs)
    )
    number = dataset.summary.cells_with_successors
    counted = f"{number:,} training cells have successors"
    if number > MOST_FOR_SMALL:
        return Choice("large", {}, [f"{counted}, more than {MOST_FOR_SMALL:,} (it needs a GPU)"])
    # every cell is seen, however many there are
    whole = {"max_steps": max(small["max_steps"], -(-number // small["micro_batch_size"]))}
    reasons = [f"{counted}, no more than {MOST_FOR_SMALL:,}"]
    if "resampling_neighbors" in given:
        is_drawn = bool(given["resampling_neighbors"])
    else:
        is_drawn, reason = _drawing_helps(dataset)
        reasons.append(reason)
    return Choice("small", whole | (DRAWN if is_drawn else {}), reasons)


def _drawing_helps(dataset: "TemporalGeneformerDataset") -> tuple[bool, str]:
    """Whether next cells drawn anew predict held-out ones better than measured ones, in words."""
    from bionemo.geneformer_t.evaluate.resampled_pairs import compare_resampling

    if len(np.unique(dataset.graph.indices)) < FEWEST_NEXT_CELLS:
        few = f"too few next cells to compare measured with drawn ones (under {FEWEST_NEXT_CELLS})"
        return False, few
    rng = np.random.default_rng(dataset.settings.seed)
    nats = compare_resampling(dataset, rng, (0, NEIGHBORS))
    is_better = nats[NEIGHBORS] < nats[0]
    given = ", ".join(f"{name} {value:g}" for name, value in DRAWN.items())
    chosen = f"cells drawn anew ({given})" if is_better else "measured ones"
    return is_better, (
        f"from measured next cells, similar training cells predict held-out ones at {nats[0]:.3f} "
        f"nats per position, from next cells drawn anew at {nats[NEIGHBORS]:.3f}, so the model "
        f"learns from {chosen}"
    )
