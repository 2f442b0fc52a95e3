from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

NEXT = PairSettings(mask_prob=0.4, seq_length=43)
KEEPING_ALL = replace(NEXT, only_cells_with_neighbors=False, no_neighbor_policy="identity")

# 4,000 examples, each a hundred calls whose shapes other tests of the same functions verify
pytestmark = pytest.mark.usefixtures("without_type_checks")


@pytest.mark.parametrize("policy", ["identity", "intersection", "union"])
@pytest.mark.parametrize(
    "settings",
    [NEXT, replace(NEXT, next_cells_per_cell=2), KEEPING_ALL,
     replace(KEEPING_ALL, no_neighbor_policy="random", next_cells_per_cell=3)],
)  # fmt: skip
def test_no_example_has_more_tokens_than_foretold_and_some_have_as_many(
    tiny_data_dir: Path, settings: PairSettings, policy: str
) -> None:
    settings = replace(settings, token_selection_policy=policy)
    dataset = TemporalGeneformerDataset.from_folder(tiny_data_dir / "train", settings=settings)
    foretold = dataset.most_tokens()
    found = np.array([
        [
            len(example.context_ids) + sum(len(scored.ids) for scored in example.next_cells)
            for example in (dataset[epoch, i] for i in range(len(dataset)))
        ]
        for epoch in range(8)
    ])  # fmt: skip
    assert (found <= foretold).all()
    if policy != "intersection":  # there, the genes that two cells share are not known before
        assert (found == foretold).any(axis=0).mean() > 0.5
