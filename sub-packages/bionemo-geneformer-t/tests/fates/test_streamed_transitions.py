"""Transition matrices of whole inputs: rows, candidates, times, and what is said of them."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from random_axes import random_axes
from scipy.special import softmax

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.fates.candidate_scores import candidate_scores
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training_cells import TrainingCells, cell_numbers

KEY = "T_geneformer_t"


@pytest.fixture
def cells(tiny_data_dir) -> anndata.AnnData:
    return anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")


@pytest.fixture
def model(untrained_checkpoint):
    return load_model(untrained_checkpoint)


def encoded(model, cells) -> Ragged:
    """The cells' genes in the order of count over median, by hand."""
    vocab = model.vocab
    tokens = vocab.encode(list(cells.var["feature_id"][:28]))
    rows = []
    for counts in cells.X.toarray()[:, :28]:
        expressed = np.flatnonzero(counts)
        value = counts[expressed] / vocab.median_of_id[tokens[expressed]]
        rows.append(tokens[expressed][np.lexsort((tokens[expressed], -value))])
    return Ragged.of(rows)


def test_rows_are_softmaxes_of_the_highest_scores(cells, model) -> None:
    gft.tl.transitions(cells, model, num_successors=3, temperature=2.0, num_ranks=10)
    matrix = cells.obsp[KEY]
    tokens = encoded(model, cells)
    scores = candidate_scores(model, tokens, tokens, number=3, num_ranks=10, exclude_self=True)
    expected = np.zeros(matrix.shape)
    np.put_along_axis(expected, scores.candidates, softmax(scores.scores / 2, axis=1), axis=1)
    np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-4)
    assert matrix.format == "csr"
    assert matrix.dtype == np.float64
    assert matrix.has_sorted_indices
    assert (matrix.diagonal() == 0).all()


def test_it_can_be_stored_and_says_how_it_was_made(cells, model, tmp_path, caplog) -> None:
    assert gft.tl.transitions(cells, model) is None
    assert "no transitions were fitted to this checkpoint" in caplog.text
    cells.write_h5ad(tmp_path / "out.h5ad")
    read = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(read.obsp[KEY].toarray(), cells.obsp[KEY].toarray())
    np.testing.assert_allclose(read.obsp[KEY].sum(axis=1), 1, rtol=1e-12)
    params = read.uns[KEY]["params"]
    assert params["score"] == "pmi"
    assert params["num_successors"] == 15  # all others: nobody asked for a number
    assert params["temperature"] == TransitionChoice().temperature
    assert params["num_references"] == 16


def test_cells_that_the_model_was_trained_on_are_counted(cells, model, caplog) -> None:
    some = cell_numbers(encoded(model, cells))[[1, 4, 7]]
    model.training_cells = TrainingCells(numbers=np.sort(some))
    gft.tl.transitions(cells, model)
    assert (
        "3 of 16 cells are training cells of the checkpoint: what is predicted for them is no test"
    ) in caplog.text


def test_blocks_of_any_size_give_the_same_matrix(cells, model) -> None:
    first = gft.tl.transitions(cells, model, num_successors=4, copy=True).obsp[KEY]
    again = gft.tl.transitions(cells, model, num_successors=4, copy=True).obsp[KEY]
    assert (first != again).nnz == 0
    for at_once in (1, 5):
        settings = gft.tl.transitions(
            cells, model, num_successors=4, candidates_at_once=at_once, contexts_at_once=at_once,
            copy=True,
        )  # fmt: skip
        np.testing.assert_allclose(settings.obsp[KEY].toarray(), first.toarray(), atol=1e-5)


def test_only_the_next_time_point_is_chosen_and_the_last_stays(cells, model, caplog) -> None:
    days = np.array([f"D{day}" for day in [0, 2, 10, 0] * 4])
    cells.obs["day"] = days
    gft.tl.transitions(cells, model, time_key="day", num_successors=2)
    current, following = cells.obsp[KEY].nonzero()
    assert "4 of 16 cells have no candidate to go to" in caplog.text
    assert "probability 1" in caplog.text
    after = {"D0": {"D2"}, "D2": {"D10"}, "D10": {"D10"}}
    assert all(days[b] in after[days[a]] for a, b in zip(current, following, strict=True))
    np.testing.assert_array_equal(cells.obsp[KEY].diagonal(), (days == "D10").astype(float))
    assert cells.uns[KEY]["num_cells_without_candidates"] == 4
    np.testing.assert_allclose(cells.obsp[KEY].sum(axis=1), 1)


def test_an_atlas_gives_a_rectangular_matrix(cells, model) -> None:
    atlas, some = cells[4:].copy(), cells[:4].copy()
    some.obs["day"], atlas.obs["day"] = [1, 2, 3, 3], [2, 3] * 6
    whole = gft.tl.transitions(cells, model, num_successors=15, score="likelihood", copy=True)
    matrix = gft.tl.transitions(some, model, atlas, num_successors=12, score="likelihood")
    assert matrix.shape == (4, 12)
    assert KEY not in some.obsp
    expected = whole.obsp[KEY].toarray()[:4, 4:]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-4)
    by_time = gft.tl.transitions(some, model, atlas, time_key="day")
    np.testing.assert_allclose(by_time.sum(axis=1).A1, [1, 1, 0, 0])
    assert set(by_time[0].indices) == {0, 2, 4, 6, 8, 10}


def test_an_atlas_and_cells_share_the_order_of_their_time_points(cells, model) -> None:
    atlas, some = cells[4:].copy(), cells[:4].copy()
    atlas.obs["stage"] = pd.Categorical(["mid", "old"] * 6, ["young", "mid", "old"], ordered=True)
    some.obs["stage"] = pd.Categorical(["young", "mid"] * 2, ["young", "mid", "old"], ordered=True)
    matrix = gft.tl.transitions(some, model, atlas, time_key="stage").toarray()
    assert (matrix[::2, ::2] > 0).all()
    assert (matrix[1::2, 1::2] > 0).all()
    np.testing.assert_allclose(matrix[::2, ::2].sum(axis=1), 1)
    np.testing.assert_allclose(matrix[1::2, 1::2].sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore:Setting element")
def test_a_view_of_a_backed_file_is_refused_before_anything_is_computed(
    cells, model, tmp_path, monkeypatch
) -> None:
    cells.write_h5ad(tmp_path / "cells.h5ad")
    whole = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    some = whole[:10]
    for function, given in (
        (gft.tl.transitions, (model,)),
        (gft.tl.predict, (model,)),
        (gft.tl.embed, (model,)),
        (gft.tl.fates, (["a", "b"],)),
        (gft.tl.drivers, ()),
        (gft.tl.perturb, (model, "g1")),
        (gft.tl.evaluate, (model,)),
        (gft.tl.train, ()),
        (gft.pp.next_cells, ("time",)),
    ):
        with pytest.raises(ValueError, match=r"backed by a file.*to_memory\(\)"):
            function(some, *given)
    expected = gft.tl.transitions(cells[:4].copy(), model, cells[:10].copy(), num_successors=3)
    found = gft.tl.transitions(whole[:4], model, some, num_successors=3)  # nothing is written
    np.testing.assert_allclose(found.toarray(), expected.toarray())


def test_cells_without_known_genes_neither_go_nor_come(cells, model, caplog) -> None:
    counts = cells.X.toarray()
    counts[7, :28] = 0
    cells.X = counts
    gft.tl.transitions(cells, model)
    assert "1 of 16 cells express no gene" in caplog.text
    matrix = cells.obsp[KEY].toarray()
    assert matrix[7, 7] == matrix[:, 7].sum() == 1
    assert cells.uns[KEY]["num_empty_cells"] == 1
    assert cells.uns[KEY]["num_candidates"] == 15


def test_a_cell_may_go_to_itself_on_request(cells, model) -> None:
    gft.tl.transitions(cells, model, self_transitions=True)
    assert (cells.obsp[KEY].diagonal() > 0).all()
    assert cells.uns[KEY]["params"]["num_successors"] == 16


def test_what_was_fitted_to_the_checkpoint_is_used_unless_told_otherwise(
    cells, model, caplog
) -> None:
    choice = TransitionChoice(num_ranks=6, temperature=3.0, num_successors=5)
    tokens = encoded(model, cells)
    model.transitions = TransitionFit(
        choice=choice, references=tokens.take(np.arange(3)), num_contexts=9, num_candidates=20,
        spread=0.1, log_likelihood=-2.5, uniform=-3.0,
    )  # fmt: skip
    gft.tl.transitions(cells, model)
    params = cells.uns[KEY]["params"]
    assert (params["num_ranks"], params["temperature"], params["num_successors"]) == (6, 3.0, 5)
    assert params["num_references"] == 3
    assert "9 validation cells" in cells.uns[KEY]["fitted"]
    scores = candidate_scores(
        model, tokens, tokens, references=tokens.take(np.arange(3)), number=5, num_ranks=6,
        exclude_self=True,
    )  # fmt: skip
    expected = np.zeros((16, 16))
    np.put_along_axis(expected, scores.candidates, softmax(scores.scores / 3, axis=1), axis=1)
    np.testing.assert_allclose(cells.obsp[KEY].toarray(), expected, rtol=1e-4)
    gft.tl.transitions(cells, model, temperature=0.5)
    assert cells.uns[KEY]["params"]["temperature"] == 0.5
    assert cells.uns[KEY]["params"]["num_ranks"] == 6
    gft.tl.transitions(cells, model, score="likelihood", temperature=20.0)
    assert not caplog.text
    gft.tl.transitions(cells, model, score="likelihood", num_ranks=5)
    assert "3 nats, was fitted with another num_ranks and score" in caplog.text


def test_a_fit_with_axes_that_the_model_lacks_is_told(cells, model, caplog) -> None:
    tokens = encoded(model, cells)
    model.transitions = TransitionFit(
        choice=TransitionChoice(num_ranks=6, temperature=3.0, axes_weight=0.5),
        references=tokens.take(np.arange(3)), num_contexts=9, num_candidates=20, spread=0.1,
        log_likelihood=-2.5, uniform=-3.0,
    )  # fmt: skip
    gft.tl.transitions(cells, model)
    assert cells.uns[KEY]["params"]["axes_weight"] == 0
    assert "was fitted with another axes_weight" in caplog.text
    caplog.clear()
    gft.tl.transitions(cells, model, temperature=2.0)
    assert not caplog.text


def test_bad_input_is_refused(cells, model) -> None:
    def refused(message: str, **options) -> None:
        with pytest.raises((ValueError, KeyError), match=message):
            gft.tl.transitions(cells, **{"model": model, **options})

    refused("num_successors is 16, and there are only 15 candidates", num_successors=16)
    refused("num_successors must be at least 1", num_successors=0)
    refused("temperature must be positive", temperature=0.0)
    refused("score must be one of", score="distance")  # type: ignore[arg-type]
    refused("has no column 'week'", time_key="week")
    cells.obs["day"] = [1.0, np.nan, *[2.0] * 14]
    refused("1 of 16 cells have no time", time_key="day")
    cells.obs["day"] = ["early"] * 8 + ["late"] * 8
    refused("time_order", time_key="day")
    gft.tl.transitions(cells, model, time_key="day", time_order=["early", "late"])
    refused("is a graph in obsp", model=KEY)
    refused("key_added must be a name without a slash.*got 'a/b'", key_added="a/b")
    cells.obs["same"] = 3
    refused(
        r"none of the 16 cells has a candidate.* a later time in obs\['same'\]", time_key="same"
    )
    foreign = cells.copy()
    foreign.var_names = [f"x{i}" for i in range(foreign.n_vars)]
    del foreign.var["feature_id"]
    refused("vocabulary knows none of", candidates=foreign)
    refused("copy=True", candidates=cells, copy=True)
    model.pair_settings = PairSettings(objective="mlm", seq_length=64)
    refused("objective 'mlm'")


def test_what_is_no_model_and_what_are_no_cells_is_said(
    cells, model, untrained_checkpoint, without_type_checks
) -> None:
    for wrong in (None, cells.X):
        with pytest.raises(TypeError, match=r"expected a trained model or the path of its checkp"):
            gft.tl.transitions(cells, wrong)
    with pytest.raises(TypeError, match="expected cells as an AnnData object; got csr_matrix"):
        gft.tl.transitions(cells, model, cells.X)
    assert load_model(str(untrained_checkpoint)).vocab == model.vocab


def test_one_cell_has_nowhere_to_go_and_two_have_each_other(cells, model) -> None:
    with pytest.raises(ValueError, match=r"none of the 1 cells has a candidate.*no other cell"):
        gft.tl.transitions(cells[:1].copy(), model)
    two = gft.tl.transitions(cells[:2], model, copy=True)
    np.testing.assert_array_equal(two.obsp[KEY].toarray(), [[0, 1], [1, 0]])


@pytest.mark.filterwarnings("ignore")  # CellRank's own
def test_cellrank_takes_the_matrix_as_it_is(cells, model) -> None:
    kernels = pytest.importorskip("cellrank.kernels")
    cells.obs["day"] = [1.0, 2.0] * 8
    gft.tl.transitions(cells, model, time_key="day", num_successors=3)
    kernel = kernels.PrecomputedKernel(cells, obsp_key=KEY)
    np.testing.assert_allclose(kernel.transition_matrix.toarray(), cells.obsp[KEY].toarray())


def test_a_fit_survives_its_checkpoint(model) -> None:
    fit = TransitionFit(
        choice=TransitionChoice(temperature=3.0), references=Ragged.of([np.array([5, 6])]),
        num_contexts=9, num_candidates=20, spread=0.1, log_likelihood=-2.5, uniform=-3.0,
    )  # fmt: skip
    model.transitions = fit
    again = type(model.entry()).of({"geneformer_t": model.entry().to_dict()}).transitions
    assert again is not None
    np.testing.assert_array_equal(again.references.values, fit.references.values)
    assert replace(again, references=fit.references) == fit


def test_canonical_axes_are_added_with_their_weight(cells, model) -> None:
    model.axes = random_axes(len(model.vocab), genes_per_cell(model))
    tokens = encoded(model, cells)
    plain = candidate_scores(model, tokens, tokens, num_ranks=10, exclude_self=True)
    network = np.full((len(tokens), len(tokens)), -np.inf)
    np.put_along_axis(network, plain.candidates, plain.scores, axis=1)
    of_axes = model.axes.information(model.axes.expected(tokens), model.axes.observed(tokens))
    settings = {"num_successors": len(tokens) - 1, "temperature": 2.0, "num_ranks": 10}
    gft.tl.transitions(cells, model, axes_weight=3.0, **settings)
    expected = softmax((network + 3.0 * of_axes) / 2.0, axis=1)
    np.testing.assert_allclose(cells.obsp[KEY].toarray(), expected, rtol=1e-3, atol=1e-7)
    assert cells.uns[KEY]["params"]["axes_weight"] == 3.0
    gft.tl.transitions(
        cells, model, axes_weight=3.0, candidates_at_once=3, contexts_at_once=2, **settings
    )
    np.testing.assert_allclose(cells.obsp[KEY].toarray(), expected, rtol=1e-3, atol=1e-7)
    gft.tl.transitions(cells, model, **settings)  # not fitted: the network alone
    np.testing.assert_allclose(
        cells.obsp[KEY].toarray(), softmax(network / 2.0, axis=1), rtol=1e-3, atol=1e-7
    )
    with pytest.raises(ValueError, match="part of the score 'pmi' alone; got the score 'likeli"):
        gft.tl.transitions(cells, model, axes_weight=3.0, score="likelihood", **settings)
    with pytest.raises(ValueError, match="axes_weight must not be negative; got -1"):
        gft.tl.transitions(cells, model, axes_weight=-1.0, **settings)


def test_a_weight_without_axes_is_refused(cells, model) -> None:
    with pytest.raises(ValueError, match="has no canonical axes"):
        gft.tl.transitions(cells, model, axes_weight=1.0)
