"""All deletions at once are what each deletion by itself is."""

import pytest
import torch

from bionemo.geneformer_t.perturbation.first_attention import (
    Keys,
    attended_before,
    deletion_changes,
)


def attend(query, key, value):
    """Plain attention of all heads."""
    return (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1) @ value


@pytest.mark.parametrize("with_new", [True, False])
def test_changes_are_those_of_attention_to_the_edited_keys(with_new) -> None:
    torch.manual_seed(0)
    heads, genes, dim = 3, 6, 4
    tokens = genes + 2 + with_new
    before, after, values, moved = torch.randn(4, heads, tokens, dim, dtype=torch.float64)
    query, asked = 3 * torch.randn(2, heads, 5, dim, dtype=torch.float64)
    gradients = torch.randn(2, heads, 5, dim, dtype=torch.float64)
    is_there = torch.ones(tokens, dtype=torch.bool)
    is_there[-2] = not with_new
    counts = torch.rand(5, genes) < 0.5
    keys = Keys(before, after, values, moved, is_there)
    now = attended_before(query, keys)
    torch.testing.assert_close(
        now, attend(query, before[:, is_there], values[:, is_there]), rtol=1e-12, atol=0
    )
    found = deletion_changes(asked, now, gradients, keys, genes, counts)
    everywhere = deletion_changes(asked, now, gradients, keys, genes)
    for gene in range(genes):
        key = torch.cat([before[:, : gene + 1], after[:, gene + 2 :]], dim=1)
        value = torch.cat([values[:, : gene + 1], moved[:, gene + 2 :]], dim=1)
        change = (gradients * (attend(asked, key, value) - now)).sum(dim=(1, 3))
        torch.testing.assert_close(found[:, gene], change[:, counts[:, gene]].sum(1))
        torch.testing.assert_close(everywhere[:, gene], change.sum(1))


def test_a_key_that_outweighs_all_others_leaves_finite_numbers() -> None:
    query = torch.ones(1, 1, 4)
    key, value = torch.zeros(1, 5, 4), torch.randn(1, 5, 4)
    key[:, 2] = 100.0
    keys = Keys(key, key, value, value, torch.ones(5, dtype=torch.bool))
    changes = deletion_changes(query, attended_before(query, keys), torch.ones(1, 1, 1, 4), keys, 3)
    assert changes.isfinite().all()
