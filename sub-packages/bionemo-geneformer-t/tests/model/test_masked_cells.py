"""The objective `mlm` is BERT's own: same loss, same gradients, and nothing shows through."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_steps import small_config
from textbook import CLS, NOT_SCORED, SEP, textbook_model

from bionemo.geneformer_t.batch import ScoredGenes, TemporalBatch, TemporalExample, pack
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert, places_in_contexts

MASK = 1
CONFIG = small_config()
SIZES = [(1, 1), (40, 6), (17, 3), (110, 19), (60, 9)]
"""Genes of a cell, and how many of these are scored."""


def cells_of(sizes, seed=0) -> list[TemporalExample]:
    rng = np.random.default_rng(seed)
    examples = []
    for row, (genes, scored) in enumerate(sizes):
        cell = rng.choice(np.arange(5, CONFIG.vocab_size), genes, replace=False)
        ranks = np.sort(rng.choice(np.arange(1, genes + 1), scored, replace=False))
        masked = ScoredGenes(
            ids=np.where(rng.random(scored) < 0.8, MASK, rng.integers(5, 120, scored)),
            ranks=ranks,
            labels=cell[ranks - 1],
            num_genes=genes,
            cell=row,
        )
        context = np.concatenate([[CLS], cell, [SEP]])
        examples.append(TemporalExample(context_ids=context, next_cells=(masked,), cell=row))
    return examples


def textbook(examples) -> dict[str, torch.Tensor]:
    """The same cells as `BertForMaskedLM` takes them: padded, with labels at masked genes."""
    longest = max(len(example.context_ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    present, labels = torch.zeros_like(ids), torch.full_like(ids, NOT_SCORED)
    for row, example in enumerate(examples):
        (masked,) = example.next_cells
        shown = example.context_ids.copy()
        shown[masked.ranks] = masked.ids
        ids[row, : len(shown)] = torch.from_numpy(shown)
        present[row, : len(shown)] = 1
        labels[row, masked.ranks] = torch.from_numpy(masked.labels)
    return {"input_ids": ids, "attention_mask": present, "labels": labels}


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_loss_and_gradients_are_those_of_bert_for_masked_lm(backend):
    torch.manual_seed(0)
    net, examples = NextCellBert(CONFIG), cells_of(SIZES)
    batch = pack(examples)
    attend = ATTENTION_BACKENDS[backend]
    loss = net.summed_loss(batch, attend, "mlm") / batch.num_scored
    loss.backward()
    logits = net(batch, attend, "mlm")
    torch.testing.assert_close(F.cross_entropy(logits, batch.scored_labels), loss)
    oracle = textbook_model(net)
    expected = oracle(**textbook(examples)).loss
    expected.backward()
    # the specification's bounds for float32
    assert abs(loss - expected).item() / expected.item() < 1e-5
    gradients = {name: p.grad for name, p in oracle.named_parameters(remove_duplicate=False)}
    largest = max(float(g.norm()) for g in gradients.values())
    for name, parameter in net.named_parameters():
        difference = (parameter.grad - gradients[name]).norm()
        # A key's bias moves all scores of a query alike: its gradient is zero but for rounding.
        size = largest if name.endswith("self.key.bias") else gradients[name].norm()
        assert difference <= 1e-4 * size, name


def test_a_hidden_gene_changes_no_logits():
    torch.manual_seed(1)
    net, batch, attend = NextCellBert(CONFIG), pack(cells_of(SIZES)), ATTENTION_BACKENDS["per_cell"]
    before = net(batch, attend, "mlm")
    ids = batch.context_ids.clone()
    ids[places_in_contexts(batch)] = 7
    assert torch.equal(before, net(replace(batch, context_ids=ids), attend, "mlm"))


def test_scored_genes_see_each_other_as_they_are_shown():
    torch.manual_seed(2)
    net, batch, attend = NextCellBert(CONFIG), pack(cells_of(SIZES)), ATTENTION_BACKENDS["per_cell"]
    before = net(batch, attend, "mlm")
    shown = batch.scored_ids.clone()
    shown[1] = 99  # in the second cell, which has six scored genes
    after = net(replace(batch, scored_ids=shown), attend, "mlm")
    changed = (before != after).any(1)
    assert changed[1:7].all()
    assert not changed[[0, *range(7, batch.num_scored)]].any()


@pytest.mark.parametrize("sizes", [[], [(5, 0)], [(5, 0), (3, 1)]])
def test_batches_with_nothing_to_score_stay_finite_and_reach_every_parameter(sizes):
    torch.manual_seed(3)
    net, batch = NextCellBert(CONFIG), pack(cells_of(sizes))
    assert isinstance(batch, TemporalBatch)
    logits = net(batch, ATTENTION_BACKENDS["per_cell"], "mlm")
    loss = F.cross_entropy(logits, batch.scored_labels, reduction="sum")
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name  # or DDP would wait for it forever
        assert torch.isfinite(parameter.grad).all(), name
