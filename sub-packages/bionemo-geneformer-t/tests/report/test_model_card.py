"""The card tells what is known and no more, and the Python in it gives our numbers."""

import re

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.inference.cell_framing import reading_of
from bionemo.geneformer_t.inference.exported_network import exported_network
from bionemo.geneformer_t.inference.huggingface_export import write_model
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.provenance import Provenance
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.report.model_card import model_card, own_score, scores_table
from bionemo.geneformer_t.vocab import GeneVocab

TRAINED = Provenance(
    data_name="pancreas", data_fingerprint="ab" * 32, graph_fingerprint="cd" * 32,
    neighbor_key="trajectory_neighbors", num_cells=1234, num_examples=1000, num_edges=5678, seed=9,
)  # fmt: skip


def make_model(**changes) -> TemporalGeneformerModel:
    vocab = GeneVocab.of_genes({f"ENSG{i:011d}": 1.0 + i for i in range(20)})
    torch.manual_seed(0)
    sizes = {
        "vocab_size": len(vocab) + 3, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64,
        "initializer_range": 0.5,
    }  # fmt: skip
    model = TemporalGeneformerModel(BioBertConfig(**{**sizes, **changes}))
    model.adopt(vocab, PairSettings(seq_length=33))
    model.provenance = TRAINED
    return model.eval()


@pytest.mark.parametrize(("scheme", "rank_knots"), [("continued", 0), ("restarted", 5)])
def test_the_cards_python_reproduces_our_numbers_in_transformers(
    scheme, rank_knots, tmp_path, monkeypatch
):
    model = make_model(position_scheme=scheme, rank_knots=rank_knots)
    if rank_knots:
        model.net.cls.predictions.rank_bias.start.normal_()
    write_model(model, tmp_path)
    model = exported_network(model)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", model_card(model, "mine", None), re.DOTALL)
    assert len(blocks) == 2
    found: dict = {}
    for block in blocks:
        exec(compile(block, "model card", "exec"), found)
    current = Ragged.of([np.array(found["current_cell"])])
    expected = model.rank_distributions(current, 10)[0, :, : len(model.vocab)].exp()
    torch.testing.assert_close(found["probabilities"], expected, rtol=1e-4, atol=1e-6)
    framed = reading_of(model).contexts(Ragged.of([np.array(found["current_cell"])]))
    context = torch.from_numpy(framed.row(0))[None]
    assert found["context"] == context[0].tolist()
    genes = found["plain"].hidden_states[-2][0, 1:-1]
    torch.testing.assert_close(found["cell_embedding"], genes.mean(0))


def test_data_graph_and_parameters_are_stated():
    text = model_card(make_model(), "My model", None)
    assert text.startswith("---\nlibrary_name: transformers")
    for statement in (
        "# My model",
        "`pancreas`, 1,234 training cells, fingerprint `abababababab`",
        "`trajectory_neighbors`: 5,678 successors of 1,000 current cells",
        "| started from | no pretrained weights |",
        "25 tokens, 20 of them genes",
        "the 15 highest of a current cell are read",
        "| hidden size | 16 |",
        "| positions | 64, `continued` |",
        "| `model_input_size` | 17 |",
        "None were measured for this export.",
    ):
        assert statement in text


def test_how_transitions_were_fitted_is_stated():
    model = make_model()
    assert "transitions of the checkpoint" not in model_card(model, "mine", None)
    model.transitions = TransitionFit(
        choice=TransitionChoice(temperature=3.0), references=Ragged.of([np.arange(3)]),
        num_contexts=9, num_candidates=20, spread=0.1, log_likelihood=-2.5, uniform=-3.0,
    )  # fmt: skip
    card = model_card(model, "mine", None)
    (line,) = (line for line in card.splitlines() if "transitions of the checkpoint" in line)
    assert "temperature 3" in line
    assert "9 validation cells among 20 candidates" in line


def test_a_model_that_met_no_data_says_so():
    model = make_model()
    model.provenance = model.pair_settings = None
    assert "Not recorded" in model_card(model, "bare", None)


def test_models_of_single_cells_claim_no_next_cell():
    model = make_model()
    model.pair_settings = PairSettings(objective="mlm", seq_length=33)
    text = model_card(model, "plain", None)
    assert "a cell's own masked genes" in text
    assert "next cell" not in text.lower()


def test_scores_are_a_table_with_gaps_where_nothing_could_be_scored():
    row = {
        "all": {"cross_entropy": 2.5, "top1": 0.25, "top10": 0.5, "top100": 1.0},
        "changed": {"cross_entropy": None},
        "cross_entropy_interval": {"mean": 2.5, "low": 2.0, "high": 3.0},
    }
    evaluation = {
        "rows": {"the model": row}, "split": "test", "num_positions": 1000, "num_pairs": 20,
        "num_cells": 10, "intervals": "Intervals: 95 %, over 10 current cells.",
    }  # fmt: skip
    table = scores_table(evaluation)
    assert "On `test`: 1,000 positions of 20 next cells of 10 current cells" in table
    assert "| the model | 2.500 | 2.000 to 3.000 | 25.0 | 50.0 | 100.0 | - |" in table
    assert table.endswith("Intervals: 95 %, over 10 current cells.")
    assert table in model_card(make_model(), "mine", evaluation)


@pytest.mark.parametrize(
    ("split", "words"), [("val", "was chosen by these cells"), ("train", "was trained on these")]
)
def test_scores_of_cells_that_the_model_has_met_say_so(split, words):
    row = {
        "all": {"cross_entropy": 2.5, "top1": 0.25, "top10": 0.5, "top100": 1.0},
        "changed": {"cross_entropy": None},
        "cross_entropy_interval": {"low": None, "high": None},
    }
    numbers = dict.fromkeys(("num_positions", "num_pairs", "num_cells"), 1)
    table = scores_table({"rows": {"m": row}, "split": split, "intervals": "", **numbers})
    assert words in table


@pytest.mark.parametrize("content", [{}, {"rows": 1}, [1], {"rows": {"the model": {}}}])
def test_what_is_no_evaluation_is_refused(content):
    with pytest.raises(ValueError, match="holds no scores"):
        scores_table(content)


def evaluation_of(*, exported: float, low: float, high: float, is_enough: bool = True) -> dict:
    """What evaluation.json holds where the model has 6.521 and gene frequencies have 6.622 nats."""

    def row(nats: float) -> dict:
        return {
            "all": {"cross_entropy": nats, "top1": 0.2, "top10": 0.5, "top100": 0.9},
            "changed": {"cross_entropy": 7.0},
            "cross_entropy_interval": {"low": nats - 0.1, "high": nats + 0.1},
        }

    frequencies = "gene frequencies at each rank"
    gain = {"mean": 6.622 - exported, "low": low, "high": high, "is_enough": is_enough}
    mine = {"mean": 0.101, "low": 0.08, "high": 0.12, "is_enough": True}
    rows = {"the model": 6.521, "the exported network alone": exported, frequencies: 6.622}
    return {
        "rows": {name: row(nats) for name, nats in rows.items()},
        "split": "test", "num_positions": 1000, "num_pairs": 20, "num_cells": 10, "intervals": "",
        "advantages": {frequencies: {"all": mine}},
        "exported_advantages": {frequencies: {"all": gain}},
    }  # fmt: skip


def test_a_network_that_does_not_beat_frequencies_says_so_first():
    model = make_model(rank_knots=5)
    text = model_card(model, "mine", evaluation_of(exported=6.727, low=-0.125, high=-0.085))
    said = (
        "**This network does not beat gene frequencies**: it scores 6.727 nats per position; gene "
        "frequencies at each rank have 6.622 (gain -0.105, 95 % interval -0.125 to -0.085)."
    )
    assert said in text
    assert text.index(said) < text.index("A BERT over rank-value-encoded single cells")
    assert "| the exported network alone | 6.727 |" in text
    assert "also predicts with its changes of the bias from rank to rank" in text


@pytest.mark.parametrize(
    ("missing", "changes", "words"),
    [
        (["memory"], {"exported": 6.5, "low": 0.1, "high": 0.2}, "beats gene frequencies: it scor"),
        (["memory"], {"exported": 6.6, "low": -0.1, "high": 0.2}, "does not beat gene frequenc"),
        (["memory"], {"exported": 6.5, "low": 0.1, "high": 0.2, "is_enough": False},
         "too few cells or donors"),
        ([], {"exported": 6.7, "low": -0.2, "high": -0.1}, "beats gene frequencies: it scores 6.5"),
    ],
)  # fmt: skip
def test_a_card_claims_what_its_own_network_scores(missing, changes, words):
    assert words in own_score(evaluation_of(**changes), missing)


def test_scores_of_the_checkpoint_do_not_pass_for_those_of_its_network():
    evaluation = evaluation_of(exported=6.7, low=0.0, high=0.1)
    del evaluation["rows"]["the exported network alone"]  # as earlier versions wrote it
    found = own_score(evaluation, ["memory of training cells"])
    assert found.startswith("The score of this network by itself is not known")
