"""Read without next cells, the encoder is Hugging Face's BERT, number for number."""

import numpy as np
import pyarrow.parquet
import pytest
import torch
from foreign import V1, V2, foreign_model

from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.weights.huggingface import config_to_ours, state_to_ours

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # the specification's bound for float32
LENGTHS = [1, 7, 130, 33]


def ours(theirs) -> NextCellBert:
    net = NextCellBert(config_to_ours(theirs.config.to_dict()))
    net.load_state_dict(
        state_to_ours(theirs.state_dict(), theirs.config.num_attention_heads), strict=False
    )
    return net.eval()


def groups_of(cells) -> CellOffsets:
    return CellOffsets.of(torch.tensor([0, *np.cumsum([len(cell) for cell in cells])]))


def random_cells(vocab_size, lengths=LENGTHS):
    generator = np.random.default_rng(0)
    return [
        torch.from_numpy(generator.choice(vocab_size, length, replace=False)) for length in lengths
    ]


@pytest.fixture(scope="module", params=[V1, V2], ids=["V1", "V2"])
def theirs(request):
    return foreign_model(**request.param)


@torch.no_grad()
@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_logits_of_packed_cells_are_those_of_hugging_face(theirs, backend):
    cells = random_cells(theirs.config.vocab_size)
    net = ours(theirs)
    hidden = net.bert.read(torch.cat(cells), groups_of(cells), ATTENTION_BACKENDS[backend])
    logits = net.cls.predictions(hidden)
    for cell, mine in zip(cells, logits.split(LENGTHS), strict=True):
        torch.testing.assert_close(mine, theirs(cell[None]).logits[0], **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_every_layers_hidden_states_are_those_of_hugging_face(theirs, backend):
    (cell,) = cells = random_cells(theirs.config.vocab_size, [50])
    net, attend = ours(theirs), ATTENTION_BACKENDS[backend]
    expected = theirs.bert(cell[None], output_hidden_states=True).hidden_states
    for depth, hidden in enumerate(expected):
        mine = net.bert.read(cell, groups_of(cells), attend, num_layers=depth)
        torch.testing.assert_close(mine, hidden[0], **TOLERANCE)
    whole = net.bert.read(cell, groups_of(cells), attend)
    torch.testing.assert_close(whole, expected[-1][0], **TOLERANCE)


@torch.no_grad()
def test_the_longest_cell_of_each_layout_is_read_alike(theirs):
    longest = theirs.config.max_position_embeddings
    (cell,) = cells = random_cells(theirs.config.vocab_size, [longest])
    mine = ours(theirs).bert.read(cell, groups_of(cells), ATTENTION_BACKENDS["per_cell"])
    torch.testing.assert_close(mine, theirs.bert(cell[None]).last_hidden_state[0], **TOLERANCE)


def test_layers_that_the_model_lacks_are_refused(theirs):
    (cell,) = cells = random_cells(theirs.config.vocab_size, [5])
    net, attend = ours(theirs), ATTENTION_BACKENDS["per_cell"]
    for depth in (-1, 3):
        with pytest.raises(ValueError, match=f"between 0 and 2, .* got {depth}"):
            net.bert.read(cell, groups_of(cells), attend, num_layers=depth)


@pytest.mark.slow
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
@torch.no_grad()
def test_five_hundred_real_cells_are_read_alike(real_data, every):
    """Hidden states at every token; logits at 16 tokens of each cell, for 25,426 take room."""
    table = pyarrow.parquet.read_table(real_data / "genecorpus_500_cells.parquet")
    cells = [torch.tensor(ids) for ids in table["input_ids"].to_pylist()]
    assert len(cells) == 500
    cells = cells[::every]
    theirs = foreign_model(**V1, num_attention_heads=1)  # scores of all heads take the time
    net, attend = ours(theirs), ATTENTION_BACKENDS["per_cell"]
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(cells), 50):
        batch = cells[start : start + 50]
        read = net.bert.read(torch.cat(batch), groups_of(batch), attend)
        for cell, mine in zip(batch, read.split([len(c) for c in batch]), strict=True):
            expected = theirs.bert(cell[None]).last_hidden_state[0]
            torch.testing.assert_close(mine, expected, **TOLERANCE)
            some = torch.randint(len(cell), (16,), generator=generator)
            logits = net.cls.predictions(mine[some])
            torch.testing.assert_close(logits, theirs.cls(expected[some]), **TOLERANCE)
