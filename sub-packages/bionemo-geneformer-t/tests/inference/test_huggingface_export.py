"""What goes out is what came in: bits of weights, logits, ids, medians and embeddings."""

import json
import pickle
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from foreign import write_foreign
from random_axes import random_axes
from safetensors.torch import load_file
from transformers import BertForMaskedLM

from bionemo.geneformer_t.config import BioBertConfig, EmbeddingSettings, PairSettings
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.dictionaries import read_dictionary
from bionemo.geneformer_t.inference.checkpoint import load_encoder
from bionemo.geneformer_t.inference.embedder import Embedder
from bionemo.geneformer_t.inference.exported_network import folded_bias
from bionemo.geneformer_t.inference.huggingface_export import (
    GENE_MEDIANS,
    GENE_NAMES,
    MAPPING,
    TOKENS,
    dictionaries,
    left_out,
    objective_of,
    write_model,
)
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation, Mixing
from bionemo.geneformer_t.model.successor_index import SuccessorIndex
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.weights.pretrained import read_pretrained
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab

GENES = [f"ENSG{i:011d}" for i in range(30)]
MEDIANS = {gene: 1.0 + i % 4 for i, gene in enumerate(GENES)}
LAYOUTS = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}


@pytest.fixture
def exported(model, tmp_path):
    """The folder of the trained model of these tests, whose config has rows to spare."""
    (tmp_path / "exported").mkdir()
    write_model(model, tmp_path / "exported")
    return tmp_path / "exported"


@pytest.fixture
def cells() -> anndata.AnnData:
    counts = np.random.default_rng(0).poisson(1.0, (6, 30)).astype(np.float32)
    counts[:, 3] += 1
    return anndata.AnnData(counts, var=pd.DataFrame(index=GENES))


def plain_logits(model: TemporalGeneformerModel, ids: torch.Tensor) -> torch.Tensor:
    groups = CellOffsets.of(torch.tensor([0, len(ids)]))
    with torch.no_grad():
        hidden = model.net.bert.read(ids, groups, ATTENTION_BACKENDS["per_cell"])
        return model.net.cls.predictions(hidden)


def test_what_predicts_genes_and_stays_behind_is_named(model) -> None:
    """Axes alone change no prediction, so that the network's score is the model's."""
    ids = np.arange(5, 9)
    before = model.rank_distributions(Ragged.of([ids]), 3)
    model.axes = random_axes(len(model.vocab), num_ranks=15)
    assert torch.equal(model.rank_distributions(Ragged.of([ids]), 3), before)
    assert left_out(model) == []
    index = SuccessorIndex.of(np.zeros((1, 3), np.float32), [[0]], [[1.0]], {0: ids})
    mixing = Mixing(number=1, width=4.0, network=0.5, memory=0.4, uniform=0.1, space="next cells")
    model.memory = KnnInterpolation(index=index, gene_ids=ids, mixing=mixing)
    assert left_out(model) == ["memory of training cells"]


def test_transformers_gives_the_same_logits_in_plain_mode(model, vocab, exported):
    theirs = BertForMaskedLM.from_pretrained(exported).eval()
    ids = torch.from_numpy(np.random.default_rng(0).permutation(len(vocab)))
    mine = plain_logits(model, ids)[:, : len(vocab)]
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids[None]).logits[0], mine, rtol=1e-5, atol=1e-5)


def test_every_weight_keeps_its_bits_and_spare_rows_are_left_out(model, vocab, exported):
    state, written = model.net.state_dict(), load_file(exported / "model.safetensors")
    for name, tensor in written.items():
        ours = name.replace("predictions.bias", "predictions.decoder.bias")
        assert torch.equal(tensor, state[ours][: len(tensor)]), name
    assert len(written["bert.embeddings.word_embeddings.weight"]) == len(vocab)
    assert json.loads((exported / "config.json").read_text())["vocab_size"] == len(vocab)


def test_an_export_comes_back_as_the_model_that_it_was(model, exported, tmp_path):
    again = TemporalGeneformerModel.from_pretrained(exported)
    assert again.vocab.fingerprint == model.vocab.fingerprint
    assert again.vocab.gene_to_ens == model.vocab.gene_to_ens
    assert again.start.initialised == ()
    assert again.config == replace(model.config, vocab_size=len(model.vocab))
    (tmp_path / "second").mkdir()
    write_model(again, tmp_path / "second")
    first, second = (
        load_file(folder / "model.safetensors") for folder in (exported, tmp_path / "second")
    )
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_weights_go_in_and_out_unchanged(layout, tmp_path):
    """Rows of tokens that the weights lacked are added behind them; token type 1 is new."""
    theirs = write_foreign(tmp_path / "in", LAYOUTS[layout] + GENES, MEDIANS)
    model = load_encoder(tmp_path / "in")
    (tmp_path / "out").mkdir()
    write_model(model, tmp_path / "out")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("in", "out"))
    added = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # tied copies
    assert set(before) - added == set(after)
    for name, tensor in after.items():
        if name.endswith("token_type_embeddings.weight"):
            assert torch.equal(tensor[0], before[name][0])
        else:
            assert torch.equal(tensor[: len(before[name])], before[name]), name
    again = BertForMaskedLM.from_pretrained(tmp_path / "out").eval()
    number = len(LAYOUTS[layout]) + len(GENES)
    ids = torch.randperm(number, generator=torch.Generator().manual_seed(0))[None]
    with torch.no_grad():
        assert torch.equal(again(ids).logits[..., :number], theirs(ids).logits)
    found = read_pretrained(tmp_path / "out")
    assert found.medians == MEDIANS
    assert not found.knows_next_cells
    assert objective_of(model) == "mlm"


def test_the_dictionaries_are_plain_pickles_in_geneformers_layout(vocab, exported):
    written = {
        name: pickle.loads((exported / name).read_bytes())
        for name in (TOKENS, GENE_MEDIANS, GENE_NAMES, MAPPING)
    }
    for name, values in written.items():
        assert type(values) is dict
        assert read_dictionary(exported / name) == values  # by an unpickler that runs no code
    tokens = written[TOKENS]
    assert sorted(tokens.values()) == list(range(len(vocab)))
    for theirs, ours in {
        "<pad>": "[PAD]", "<mask>": "[MASK]", "<cls>": "[CLS]", "<eos>": "[SEP]",
    }.items():  # fmt: skip
        assert tokens[theirs] == vocab.ids[ours]
    assert set(written[GENE_MEDIANS]) == set(vocab.genes) < set(tokens)
    assert {type(value) for value in written[GENE_MEDIANS].values()} == {float}
    assert written[GENE_NAMES]["GENE3"] == vocab.genes[3]
    assert written[MAPPING]["GENE3"] == written[MAPPING][vocab.genes[3]] == vocab.genes[3]
    assert GeneVocab.read(exported / TOKENS, exported / GENE_MEDIANS).fingerprint == (
        vocab.fingerprint
    )


def geneformers_embeddings(folder, counts: np.ndarray, genes: list[str]) -> np.ndarray:
    """Mean cell embeddings of the second to last layer by the recipe of Geneformer's own tools.

    Cells are ranked by count / total * 10,000 / median. The dictionary alone says whether they are
    framed by `<cls>` and `<eos>`, and then these are left out of the mean.
    """
    tokens, medians, mapping = (
        pickle.loads((folder / name).read_bytes()) for name in (TOKENS, GENE_MEDIANS, MAPPING)
    )
    model = BertForMaskedLM.from_pretrained(folder).eval()
    is_framed = {"<cls>", "<eos>"} <= set(tokens)
    room = json.loads((folder / "config.json").read_text())["geneformer_t"]["genes_per_cell"]
    columns = [i for i, gene in enumerate(genes) if mapping.get(gene.upper()) in medians]
    ids = np.array([tokens[mapping[genes[i].upper()]] for i in columns])
    scale = np.array([medians[mapping[genes[i].upper()]] for i in columns])
    embedded = []
    for cell in counts:
        values = cell[columns] / cell.sum() * 10_000 / scale
        expressed = np.flatnonzero(values)
        # ties in the order of ids, which the published argsort leaves open
        order = np.lexsort((ids[expressed], -values[expressed].round(9)))
        ranked = ids[expressed][order][:room].tolist()
        if is_framed:
            ranked = [tokens["<cls>"], *ranked, tokens["<eos>"]]
        with torch.no_grad():
            state = model(torch.tensor([ranked]), output_hidden_states=True).hidden_states[-2][0]
        embedded.append(state[1:-1].mean(0) if is_framed else state.mean(0))
    return torch.stack(embedded).numpy()


@pytest.mark.parametrize("kind", ["trained", *LAYOUTS])
def test_geneformers_own_recipe_gives_our_embeddings(kind, model, cells, tmp_path):
    if kind != "trained":
        write_foreign(tmp_path / "in", LAYOUTS[kind] + GENES, MEDIANS, max_position_embeddings=24)
        model = load_encoder(tmp_path / "in")
    (tmp_path / "out").mkdir()
    write_model(model, tmp_path / "out")
    (block,) = Embedder(model, anndata_source(cells), EmbeddingSettings()).blocks()
    counts = np.asarray(cells.X, dtype=np.float64)
    expected = geneformers_embeddings(tmp_path / "out", counts, GENES)
    np.testing.assert_allclose(block.embeddings, expected, rtol=1e-5, atol=1e-5)


def test_tokens_that_were_never_learned_do_not_pose_as_geneformers(vocab):
    tokens = dictionaries(vocab, {"[CLS]", "[SEP]"})[TOKENS]
    assert "<cls>" not in tokens
    assert tokens["[CLS]"] == vocab.ids["[CLS]"]
    assert "<mask>" in tokens


def test_a_model_without_a_vocabulary_cannot_be_exported(tmp_path):
    bare = TemporalGeneformerModel(
        BioBertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                      intermediate_size=8, max_position_embeddings=16)
    )  # fmt: skip
    with pytest.raises(ValueError, match="no vocabulary yet"):
        write_model(bare, tmp_path)


def test_what_the_weights_learned_is_told(model):
    assert objective_of(model) == "next_cell"
    model.pair_settings = PairSettings(objective="mlm", seq_length=33)
    assert objective_of(model) == "mlm"


def test_a_bias_by_rank_goes_out_and_comes_back_and_other_tools_pass_over_it(model, tmp_path):
    config = replace(model.config, rank_knots=5)
    with_bias = TemporalGeneformerModel(config)
    bias = with_bias.net.cls.predictions.rank_bias
    bias.start.normal_()
    torch.nn.init.normal_(bias.change)
    with_bias.vocab, with_bias.pair_settings = model.vocab, model.pair_settings
    write_model(with_bias, tmp_path)
    theirs = BertForMaskedLM.from_pretrained(tmp_path)
    assert theirs.config.vocab_size == len(model.vocab)
    again = TemporalGeneformerModel.from_pretrained(tmp_path)
    assert again.config.rank_knots == 5
    size = len(model.vocab)
    found = again.net.cls.predictions.rank_bias
    torch.testing.assert_close(found.start, bias.start[:size], rtol=0, atol=0)
    torch.testing.assert_close(found.change, bias.change[:size], rtol=0, atol=0)
    own, bias_again = (one.net.cls.predictions.decoder.bias for one in (with_bias, again))
    torch.testing.assert_close(bias_again, own[:size], rtol=0, atol=0)
    torch.testing.assert_close(theirs.cls.predictions.bias, folded_bias(with_bias)[:size])
