"""Pretrained rows follow their genes; all that has no pretraining is listed and reproducible."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from foreign import write_foreign

from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.weights.pretrained import BIAS, WORDS, read_pretrained
from bionemo.geneformer_t.model.weights.vocabulary_transfer import (
    POSITIONS,
    TOKEN_TYPES,
    StartReport,
    changed,
    transfer_vocabulary,
)
from bionemo.geneformer_t.vocab import GeneVocab

GENES = [f"ENSG{i:011d}" for i in range(20)]
SPECIALS = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}
LACKING = {"V1": {"[CLS]", "[SEP]", "[UKW]"}, "V2": {"[UKW]"}}


@pytest.fixture(params=["V1", "V2"])
def layout(request):
    return request.param


@pytest.fixture
def theirs(layout, tmp_path):
    return write_foreign(tmp_path, SPECIALS[layout] + GENES, max_position_embeddings=40)


@pytest.fixture
def pretrained(theirs, tmp_path):
    return read_pretrained(tmp_path)


@pytest.fixture
def vocab():
    """Another order, two genes fewer, and two that the weights never saw."""
    genes = [*np.random.default_rng(0).permutation(GENES[2:]), "ENSG99999999998", "ENSG99999999999"]
    return GeneVocab.of_genes({str(gene): 1.0 for gene in genes})


def plant(pretrained, vocab, seed=0, **changes):
    return transfer_vocabulary(pretrained, vocab, changed(pretrained.config, **changes), seed)


def test_every_gene_keeps_its_row_and_bias_wherever_it_stands(pretrained, vocab):
    state = plant(pretrained, vocab).state
    for gene in GENES[2:]:
        there, here = pretrained.tokens.index(gene), vocab.ids[gene]
        assert torch.equal(state[WORDS][here], pretrained.state[WORDS][there])
        assert state[BIAS][here] == pretrained.state[BIAS][there]


def test_what_depends_on_no_gene_is_untouched(pretrained, vocab):
    state = plant(pretrained, vocab).state
    for name, tensor in pretrained.state.items():
        if name not in {WORDS, BIAS, TOKEN_TYPES}:
            assert torch.equal(state[name], tensor), name


def test_logits_of_shared_genes_are_those_of_transformers(theirs, pretrained, vocab):
    planted = plant(pretrained, vocab)
    net = NextCellBert(planted.config).eval()
    net.load_state_dict(planted.state)
    names = list(np.random.default_rng(1).permutation(GENES[2:]))
    cell = torch.from_numpy(vocab.encode(names))
    with torch.no_grad():
        offsets = CellOffsets.of(torch.tensor([0, len(cell)]))
        hidden = net.bert.read(cell, offsets, ATTENTION_BACKENDS["per_cell"])
        mine = net.cls.predictions(hidden)
        there = torch.tensor([[pretrained.tokens.index(name) for name in names]])
        expected = theirs(there).logits[0]
    # float32, and the specification's bound
    torch.testing.assert_close(mine[:, cell], expected[:, there[0]], rtol=1e-5, atol=1e-5)


def test_what_is_not_pretrained_is_listed(pretrained, vocab, layout):
    report = plant(pretrained, vocab, num_positions=50).report
    assert set(report.initialised) == LACKING[layout] | {"token type 1", "positions 40 to 49"}
    assert report.genes_new == ("ENSG99999999998", "ENSG99999999999")
    assert (report.genes_pretrained, report.genes_unused) == (18, 2)
    for said in ("18 of 20 genes", "2 do not (ENSG99999999998, ", "2 pretrained genes are not used",
                 "[UKW]", "token type 1"):  # fmt: skip
        assert said in str(report)
    assert StartReport.from_dict(report.to_dict()) == report


def test_medians_that_are_not_those_of_pretraining_are_counted(pretrained, vocab):
    assert plant(pretrained, vocab).report.medians_other is None  # not known
    medians = dict.fromkeys(GENES, 1.0)
    assert plant(replace(pretrained, medians=medians), vocab).report.medians_other == 0
    medians |= {GENES[5]: 1.01, GENES[6]: 2.0, GENES[0]: 3.0}  # the vocabulary lacks the last
    report = plant(replace(pretrained, medians=medians), vocab).report
    assert report.medians_other == 2
    assert "the medians of 2 pretrained genes differ" in str(report)


def test_what_is_initialised_starts_near_what_was_trained(pretrained, vocab):
    pretrained = replace(
        pretrained, config=replace(pretrained.config, initializer_range=1e-4)
    )  # so that noise is small beside the rows, as in real weights
    state = plant(pretrained, vocab, num_positions=50).state
    rows = [pretrained.tokens.index(gene) for gene in GENES]
    mean = pretrained.state[WORDS][rows].mean(0)
    for token in ("[UKW]", "ENSG99999999999"):
        row = state[WORDS][vocab.ids[token]]
        assert not torch.equal(row, mean)
        torch.testing.assert_close(row, mean, rtol=0, atol=1e-3)  # ten standard deviations
    assert state[BIAS][vocab.ids["[UKW]"]] == pretrained.state[BIAS][rows].min()
    assert state[BIAS][vocab.ids["ENSG99999999999"]] == pretrained.state[BIAS][rows].mean()
    assert torch.equal(state[TOKEN_TYPES][1], pretrained.state[TOKEN_TYPES][0])
    assert torch.equal(state[POSITIONS][:40], pretrained.state[POSITIONS])
    assert torch.equal(state[POSITIONS][40:], pretrained.state[POSITIONS][-1:].expand(10, -1))


def test_a_trained_token_type_1_is_kept(pretrained, vocab):
    planted = plant(replace(pretrained, knows_next_cells=True), vocab)
    assert torch.equal(planted.state[TOKEN_TYPES], pretrained.state[TOKEN_TYPES])
    assert "token type 1" not in planted.report.initialised


def test_a_missing_head_is_drawn_and_listed(pretrained, vocab):
    bare = {name: tensor for name, tensor in pretrained.state.items() if name.startswith("bert.")}
    planted = plant(replace(pretrained, state=bare), vocab)
    assert "vocabulary head" in planted.report.initialised
    NextCellBert(planted.config).load_state_dict(planted.state)


def test_the_seed_alone_decides_what_is_drawn(pretrained, vocab):
    torch.manual_seed(0)
    first = plant(pretrained, vocab, seed=5).state
    state_of_torch = torch.get_rng_state()
    again = plant(pretrained, vocab, seed=5).state
    assert torch.equal(state_of_torch, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = plant(pretrained, vocab, seed=6).state
    assert not torch.equal(first[WORDS], other[WORDS])


def test_a_vocabulary_of_other_names_is_refused_with_both(pretrained):
    with pytest.raises(ValueError, match=r"knows none of the 2 genes .*ENSG0.*like ACTB, TNNT2"):
        plant(pretrained, GeneVocab.of_genes({"ACTB": 1.0, "TNNT2": 1.0}))


def test_positions_are_never_cut(pretrained, vocab):
    with pytest.raises(ValueError, match="has 40 positions; a table of 30 would cut it"):
        plant(pretrained, vocab, num_positions=30)


def test_a_bias_by_rank_that_the_weights_lack_starts_at_zero_and_is_listed(pretrained):
    config = changed(pretrained.config, rank_knots=6)
    vocab = GeneVocab.of_genes(dict.fromkeys(GENES, 1.0))
    planted = transfer_vocabulary(pretrained, vocab, config, seed=0)
    assert "bias by rank" in planted.report.initialised
    net = NextCellBert(planted.config)
    net.load_state_dict(planted.state)
    assert not net.cls.predictions.rank_bias.logits.any()
