"""The rule itself."""

import torch

from bionemo.geneformer_t.model.isolation import Segment, attends, isolation_mask


def test_everyone_attends_to_the_context_and_nobody_to_the_next_cell():
    segments = torch.tensor([Segment.CONTEXT] * 6 + [Segment.NEXT_CELL] * 3)
    expected = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0, 0]] * 9, dtype=torch.bool)
    assert torch.equal(isolation_mask(segments), expected)  # the specification's matrix


def test_the_next_cell_does_not_attend_to_itself():
    segment = torch.tensor([Segment.NEXT_CELL])
    assert not attends(segment, segment).any()
