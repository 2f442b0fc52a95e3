"""The point of a cell without a gene is known without encoding the cell again."""

import numpy as np
import pytest
from random_axes import random_axes

from bionemo.geneformer_t.perturbation.deleted_points import deleted_points, expected_points
from bionemo.geneformer_t.ragged import Ragged


@pytest.mark.parametrize("length", [1, 2, 22, 23, 24, 40])
def test_changes_are_those_of_the_edited_cell(edited_cells, length) -> None:
    model, num_ranks = edited_cells.model, 23
    model.axes = random_axes(len(model.vocab), num_ranks)
    genes = np.random.default_rng(0).choice(model.vocab.gene_ids, length, replace=False)
    changes = deleted_points(model, genes).numpy()
    assert len(changes) == min(length, num_ranks)
    now = model.axes.expected(Ragged.of([genes]))[0]
    for rank, change in enumerate(changes):
        edited = Ragged.of([np.delete(genes, rank)])
        np.testing.assert_allclose(change, model.axes.expected(edited)[0] - now, atol=2e-6)


def test_a_model_without_axes_has_points_without_columns(edited_cells) -> None:
    model, cells = edited_cells.model, edited_cells.cells
    model.axes = None
    assert expected_points(model, cells).shape == (len(cells), 0)
    assert deleted_points(model, cells.row(0)).shape == (len(cells.row(0)), 0)
