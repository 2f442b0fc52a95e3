"""Options of the training step change its cost, not its loss nor its gradients."""

import pytest
import torch
from small_steps import pairs_of, relative_error, small_config, step, textbook_step
from textbook import packed, textbook_inputs, textbook_model

from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert

SIZES = [(1, 1, 1), (40, 30, 5), (3, 60, 60), (40, 30, 5), (60, 60, 9)]


def fresh(dropout_prob=0.0):
    torch.manual_seed(0)
    return NextCellBert(
        small_config(hidden_dropout_prob=dropout_prob, attention_probs_dropout_prob=dropout_prob)
    )


@pytest.mark.parametrize("dropout_prob", [0.0, 0.3])
@pytest.mark.parametrize("what", ["feed_forward", "layers"])
@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_recomputing_changes_no_bit_of_the_step(backend, what, dropout_prob):
    net, batch = fresh(dropout_prob), packed(pairs_of(SIZES))
    found = []
    for option in ("nothing", what):
        net.set_recompute(option)
        torch.manual_seed(1)
        found.append(step(net, batch, ATTENTION_BACKENDS[backend]))
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


def kept_elements(net, batch):
    """Numbers kept for the backward pass, those of the weights apart."""
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = net.summed_loss(batch, ATTENTION_BACKENDS["per_cell"])
    del loss
    return sum(size for pointer, size in kept.items() if pointer not in weights)


def test_recomputing_keeps_less():
    net, batch = fresh(), packed(pairs_of([(60, 60, 9)] * 4))
    kept = {}
    for what in ("nothing", "feed_forward", "layers"):
        net.set_recompute(what)
        kept[what] = kept_elements(net, batch)
    assert kept["layers"] < 0.8 * kept["feed_forward"] < 0.8 * 0.9 * kept["nothing"]


def test_nothing_is_recomputed_unless_asked_for():
    net, batch = fresh(), packed(pairs_of(SIZES))
    by_default = kept_elements(net, batch)
    net.set_recompute("nothing")
    assert kept_elements(net, batch) == by_default


@pytest.mark.parametrize("sizes", [SIZES, [(n, n, 1 + n // 7) for n in range(1, 62, 6)]])
@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
@pytest.mark.slow
def test_under_bfloat16_the_step_is_as_near_float32_as_the_textbooks(backend, sizes):
    """bfloat16 keeps 8 bits, and weights this large multiply each error from layer to layer, so
    what can be asked for is the error of the textbook step in bfloat16."""
    net, pairs = fresh(), pairs_of(sizes)
    oracle, inputs = textbook_model(net), textbook_inputs(pairs, net.config)
    exact = textbook_step(oracle, inputs)
    exact = {name: value.clone() for name, value in exact.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = textbook_step(oracle, inputs)
        ours = step(net, packed(pairs), ATTENTION_BACKENDS[backend])
    assert abs(ours["loss"] - exact["loss"]) < 0.01 * exact["loss"]
    names = [name for name in ours if name != "loss"]
    assert all(ours[name].dtype == torch.float32 for name in names)  # as the weights are
    assert relative_error(ours, exact, names) < 1.2 * relative_error(theirs, exact, names) < 0.5


def test_under_bfloat16_normalisation_and_loss_stay_in_float32():
    net, batch = fresh(), packed(pairs_of(SIZES))
    seen = {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_hook(
                lambda module, given, out, name=name: seen.update({name: out.dtype})
            )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = net.summed_loss(batch, ATTENTION_BACKENDS["per_cell"])
    assert len(seen) == 2 + 2 * 3
    in_layers = {dtype for name, dtype in seen.items() if "transform" not in name}
    assert in_layers == {torch.float32}
    assert loss.dtype == torch.float32
