"""The fast encoder equals the textbook one, and no position sees what it must not see."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_steps import RAGGED, VOCAB, pairs_of, small_config, step, textbook_step
from textbook import packed, textbook_inputs, textbook_model

from bionemo.geneformer_t.batch import pack
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert

LOSS_TOLERANCE = 1e-5  # the specification's bounds for float32
GRADIENT_TOLERANCE = 1e-4


def assert_same_step(
    net, batch, attend, oracle, inputs, loss_tolerance=LOSS_TOLERANCE, tolerance=GRADIENT_TOLERANCE
):
    gradients, expected_gradients = step(net, batch, attend), textbook_step(oracle, inputs)
    loss, expected = gradients.pop("loss"), expected_gradients.pop("loss")
    assert abs(loss - expected) / expected < loss_tolerance
    scale = max(float(g.norm()) for g in expected_gradients.values())
    for name, gradient in gradients.items():
        reference = expected_gradients[name]
        difference = (gradient - reference).norm()
        # A key's bias moves all scores of a query alike: its gradient is zero but for rounding,
        # so it is compared with the size of the largest gradient.
        size = scale if name.endswith("self.key.bias") else reference.norm()
        assert difference <= tolerance * size, name


@pytest.mark.parametrize("scheme", ["continued", "restarted"])
@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_the_step_equals_the_textbook_step(backend, scheme):
    torch.manual_seed(0)
    config = small_config(position_scheme=scheme)
    net = NextCellBert(config)
    pairs = pairs_of(RAGGED)
    assert_same_step(
        net,
        packed(pairs),
        ATTENTION_BACKENDS[backend],
        textbook_model(net),
        textbook_inputs(pairs, config, length=config.max_position_embeddings),
    )


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_in_float64_the_step_is_the_textbook_step_to_the_last_digits(backend):
    """In float32 a ReLU whose input is zero but for rounding may open in one of the two steps and
    not in the other; one such token can move a gradient of a large model by 1e-3. Here none can."""
    torch.manual_seed(8)
    config = small_config()
    net = NextCellBert(config).double()
    pairs = pairs_of([(n, n, 1 + n // 7) for n in range(1, 62, 4)], seed=8)
    assert_same_step(
        net,
        packed(pairs),
        ATTENTION_BACKENDS[backend],
        textbook_model(net).double(),
        textbook_inputs(pairs, config),
        loss_tolerance=1e-12,
        tolerance=1e-11,
    )


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_next_cells_that_share_a_context_equal_separate_textbook_pairs(backend):
    torch.manual_seed(1)
    config = small_config()
    net = NextCellBert(config)
    pairs = pairs_of(RAGGED, seed=1)
    pairs[1] = replace(pairs[1], context=pairs[0].context)
    pairs[2] = replace(pairs[2], context=pairs[0].context)
    assert_same_step(
        net,
        packed(pairs, context_of=[0, 0, 0, 1, 2, 3]),
        ATTENTION_BACKENDS[backend],
        textbook_model(net),
        textbook_inputs(pairs, config),
    )


@pytest.mark.parametrize("objective", ["next_cell", "mlm"])
def test_the_summed_loss_is_the_cross_entropy_of_the_logits(objective):
    torch.manual_seed(7)
    net, attend = NextCellBert(small_config()), ATTENTION_BACKENDS["per_cell"]
    batch = packed(pairs_of([(30, 30, 5), (60, 60, 9)]))
    summed, logits = net.summed_loss(batch, attend, objective), net(batch, attend, objective)
    expected = F.cross_entropy(logits, batch.scored_labels, reduction="sum")
    torch.testing.assert_close(summed, expected)


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_one_pass_gives_the_logits_and_the_contexts_of_two(backend):
    torch.manual_seed(9)
    net, attend = NextCellBert(small_config()).eval(), ATTENTION_BACKENDS[backend]
    batch = packed(pairs_of(RAGGED))
    calls = []
    net.bert.layers[0].register_forward_hook(lambda *_: calls.append(1))
    logits, contexts = net.logits_and_contexts(batch, attend)
    assert len(calls) == 1
    torch.testing.assert_close(logits, net(batch, attend))
    groups = CellOffsets.of(batch.context_offsets)
    torch.testing.assert_close(contexts, net.bert.read(batch.context_ids, groups, attend))


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_changing_one_scored_token_changes_no_other_positions_logits(backend):
    torch.manual_seed(2)
    net, attend = NextCellBert(small_config()), ATTENTION_BACKENDS[backend]
    batch = packed(pairs_of(RAGGED))
    before = net(batch, attend)
    for position in range(0, batch.num_scored, 7):
        ids = batch.scored_ids.clone()
        ids[position] = (ids[position] + 1) % VOCAB
        after = net(replace(batch, scored_ids=ids), attend)
        others = torch.arange(batch.num_scored) != position
        assert torch.equal(before[others], after[others])
        assert not torch.equal(before[position], after[position])


def test_changing_a_next_cell_token_of_the_textbook_model_changes_no_other_logits():
    torch.manual_seed(3)
    config = small_config()
    model = textbook_model(NextCellBert(config).eval())
    inputs = textbook_inputs(pairs_of([(10, 12, 3)]), config)
    del inputs["labels"]
    before = model(**inputs).logits
    changed = inputs["input_ids"].clone()
    position = 12 + 4  # [CLS], ten genes, [SEP], then the fifth gene of the next cell
    changed[0, position] = (changed[0, position] + 1) % VOCAB
    after = model(**{**inputs, "input_ids": changed}).logits
    others = torch.arange(before.shape[1]) != position
    assert torch.equal(before[:, others], after[:, others])


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_a_cells_logits_do_not_depend_on_its_neighbours_in_the_batch(backend):
    torch.manual_seed(4)
    net, attend = NextCellBert(small_config()), ATTENTION_BACKENDS[backend]
    pairs = pairs_of(RAGGED)
    together = net(packed(pairs), attend).split([len(pair.ranks) for pair in pairs])
    for pair, logits in zip(pairs, together, strict=True):
        alone = net(packed([pair]), attend)
        torch.testing.assert_close(logits, alone, rtol=1e-5, atol=1e-5)  # matrix shapes differ


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
@pytest.mark.parametrize("sizes", [[], [(5, 4, 0)], [(5, 4, 0), (2, 3, 1)], [(4, 0, 0)]])
def test_batches_with_nothing_to_score_stay_finite_and_reach_every_parameter(backend, sizes):
    torch.manual_seed(5)
    net = NextCellBert(small_config())
    batch = packed(pairs_of(sizes)) if sizes else pack([])
    loss = net.summed_loss(batch, ATTENTION_BACKENDS[backend])
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name  # or DDP would wait for it forever
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_attention_dropout_is_honoured(backend):
    torch.manual_seed(6)
    config = replace(small_config(), attention_probs_dropout_prob=0.5)
    net = NextCellBert(config).train()
    batch = packed(pairs_of(RAGGED))
    attend = ATTENTION_BACKENDS[backend]
    assert not torch.equal(net(batch, attend), net(batch, attend))
    net.eval()
    assert torch.equal(net(batch, attend), net(batch, attend))
