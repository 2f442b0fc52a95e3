"""From an AnnData object to the table: counts, tests and readouts belong to each other."""

from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from bionemo.geneformer_t import tl
from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.counts.in_memory import BY_LAYER, anndata_source
from bionemo.geneformer_t.fates.streamed_transitions import CellInput
from bionemo.geneformer_t.inference.controls import random_weights
from bionemo.geneformer_t.inference.expected_ranks import expected_ranks
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.perturbation import exact_effects, saved_sums, screened_effects
from bionemo.geneformer_t.perturbation.next_step import NextStep
from bionemo.geneformer_t.perturbation.perturb import perturb as perturb_cells
from bionemo.geneformer_t.perturbation.perturb_settings import PerturbSettings
from bionemo.geneformer_t.perturbation.perturb_text import summary
from bionemo.geneformer_t.perturbation.processes import Processes
from bionemo.geneformer_t.perturbation.result import Perturbation
from bionemo.geneformer_t.perturbation.saved_sums import remove_saved
from bionemo.geneformer_t.perturbation.screen_verdict import ScreenVerdict
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab

CELLS, GENES = 60, 50


@pytest.fixture(scope="module")
def model() -> NextCellModel:
    """Random weights, over 50 genes, of which it reads 30 of a cell."""
    vocab = GeneVocab.of_genes({f"g{i}": 1.0 for i in range(GENES)})
    torch.manual_seed(0)
    made = NextCellModel(
        BioBertConfig(
            vocab_size=len(vocab), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=70, initializer_range=0.3,
        )
    )  # fmt: skip
    made.adopt(vocab, PairSettings(seq_length=63))
    rng = np.random.default_rng(5)
    made.transitions = TransitionFit(
        choice=TransitionChoice(num_ranks=20, num_successors=6, temperature=4.0),
        references=Ragged.of([rng.choice(vocab.gene_ids, 25, replace=False) for _ in range(9)]),
        num_contexts=9, num_candidates=9, spread=0.1, log_likelihood=-1.0, uniform=-2.0,
    )  # fmt: skip
    return made.eval()


@pytest.fixture
def adata(model) -> anndata.AnnData:
    """Cells of three clusters, two of them terminal, with transitions and fates."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.8, 2, GENES), (CELLS, GENES)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": np.repeat(["early", "left", "right"], [40, 10, 10]),
            "donor": np.tile(list("uvwxyz"), 10),
            "pseudotime": np.linspace(0, 5, CELLS),
        },
        index=[f"c{i}" for i in range(CELLS)],
    )
    var = pd.DataFrame(index=[f"g{i}" for i in range(GENES)])
    made = anndata.AnnData(counts, obs=obs, var=var)
    tl.transitions(made, model)
    tl.fates(made, ["left", "right"], cluster_key="cell_type")
    return made


def perturbed(adata, model, genes="all", **options) -> pd.DataFrame:
    given = {"min_cells": 10, "num_null": 20, "cluster_key": "cell_type", "clusters": "early"}
    return tl.perturb(adata, model, genes, **{**given, **options})


def test_the_table_has_a_row_for_each_readout_and_gene_and_counts_all_cells(adata, model) -> None:
    table = perturbed(
        adata, model, pseudotime_key="pseudotime", controls={"random": random_weights(model, 1)}
    )
    assert set(table["readout"]) == {"fate left", "fate right", "pseudotime", "transition row"}
    counted = table[["cells", "cells_without", "cells_unchanged"]].sum(axis=1)
    assert (counted == 40).all()
    early = adata[adata.obs["cell_type"] == "early"]
    expressed = pd.Series((early.X > 0).sum(axis=0), index=early.var_names)
    left = table[table["readout"] == "fate left"].set_index("target")
    assert (left["cells_without"] == 40 - expressed[left.index]).all()
    tested = left["cells"] >= 10
    assert tested.any()
    assert left["p_value"].notna().equals(tested)
    np.testing.assert_allclose(
        left["z"][tested], ((left["effect"] - left["null_mean"]) / left["null_sd"])[tested]
    )
    assert {"random_effect", "random_z", "random_fdr"} <= set(table)
    assert np.isfinite(left[["ridge_effect", "correlation"]][tested]).all(axis=None)
    assert not np.allclose(left["effect"], left["random_effect"])
    # both fates together are certain, before and after
    right = table[table["readout"] == "fate right"].set_index("target")
    np.testing.assert_allclose(left["effect"], -right["effect"][left.index], atol=1e-9)
    assert table[table["readout"] == "transition row"]["effect"].between(0, 1).all()


def test_effects_are_those_of_transitions_of_the_edited_counts(adata, model) -> None:
    """A gene without counts is a gene that was deleted: the chain of such cells says the same."""
    adata.X[:, :] = adata.X * (np.cumsum(adata.X > 0, axis=1) <= 30)  # all genes are read
    tl.transitions(adata, model, self_transitions=True)
    tl.fates(adata, ["left", "right"], cluster_key="cell_type")
    table = perturbed(adata, model, "g3", min_cells=1, pseudotime_key="pseudotime")
    has = np.flatnonzero((adata.X[:, 3] > 0) & (adata.obs["cell_type"] == "early"))
    edited = adata.copy()
    edited.X[:, 3] = 0
    before, after = (
        tl.transitions(cells[has].copy(), model, adata, self_transitions=True).toarray()
        for cells in (adata, edited)
    )
    change = after - before
    expected = {
        "fate left": (change @ adata.obsm["fates"]["left"]).mean(),
        "fate right": (change @ adata.obsm["fates"]["right"]).mean(),
        "pseudotime": (change @ adata.obs["pseudotime"]).mean(),
        "transition row": np.abs(change).sum(axis=1).mean() / 2,
    }
    found = table.set_index("readout")
    assert (found["cells"] == len(has)).all()
    assert found["effect"].to_dict() == pytest.approx(expected, abs=1e-6)
    assert abs(expected["pseudotime"]) > 1e-3


def test_the_order_of_cells_changes_no_number(adata, model) -> None:
    found = perturbed(adata, model, pseudotime_key="pseudotime")
    again = adata[np.random.default_rng(3).permutation(CELLS)].copy()
    again.uns = adata.uns
    same = perturbed(again, model, pseudotime_key="pseudotime")
    pd.testing.assert_frame_equal(found, same, check_exact=True)


def test_a_part_of_the_cells_is_refused_for_it_has_other_next_cells(adata, model) -> None:
    part = adata[adata.obs["cell_type"] == "early"].copy()
    with pytest.raises(ValueError, match=r"lead to .* cells, and this input has .* by clusters"):
        perturbed(part, model, ["g1"], fates="left")


def test_fates_that_are_missing_are_counted_or_refused(adata, model) -> None:
    adata.obsm["fates"] = adata.obsm["fates"].copy()
    adata.obsm["fates"].loc[adata.obs_names[3], "left"] = np.nan
    table = perturbed(adata, model, ["g1"], fates="left")
    assert np.isfinite(table["effect"]).all()
    assert any(
        f"1 of {adata.n_obs:,} cells have no value of a readout (NaN)" in note
        for note in adata.uns["perturbation_notes"]
    )
    adata.obsm["fates"]["left"] = np.nan
    with pytest.raises(ValueError, match="fate left: all values are missing"):
        perturbed(adata, model, ["g1"], fates="left")


def test_a_combination_that_lacks_a_gene_is_refused(adata, model) -> None:
    with pytest.raises(ValueError, match=r"genes: 'g1\+' lacks a gene beside '\+'"):
        perturbed(adata, model, ["g1+"], fates="left")


def test_combinations_have_a_row_of_their_own(adata, model) -> None:
    table = perturbed(adata, model, ["g1", "g5+g2"], fates="left")
    assert set(table["symbol"]) == {"g1", "g5+g2"}
    both = table[table["symbol"] == "g5+g2"].iloc[0]
    early = adata[adata.obs["cell_type"] == "early"]
    held = ((early.X[:, 2] > 0) & (early.X[:, 5] > 0)).sum()
    assert both["cells"] + both["cells_unchanged"] == held


def test_sustained_effects_are_fates_of_the_chain_of_edited_cells(adata, model) -> None:
    adata.X[:, :] = adata.X * (np.cumsum(adata.X > 0, axis=1) <= 30)  # all genes are read
    ends = {"terminal": ["left", "right"], "cluster_key": "cell_type"}
    tl.transitions(adata, model, self_transitions=True)
    tl.fates(adata, **ends)
    table = perturbed(adata, model, "g1,g3", fates="right", num_sustained=1)
    rows = table[table["readout"] == "fate right"]
    (symbol,) = rows.loc[rows["sustained"].notna(), "symbol"]
    assert symbol == rows.loc[rows["z"].abs().idxmax(), "symbol"]
    early = (adata.obs["cell_type"] == "early").to_numpy()
    has = np.asarray(adata[:, symbol].X > 0).ravel() & early
    edited = adata.copy()
    edited.X[:, edited.var_names == symbol] = 0
    # the edited cells are contexts alone: as candidates all cells stay what they were
    rows_after = tl.transitions(edited[has].copy(), model, adata, self_transitions=True)
    changed = adata.copy()
    chain = changed.obsp["T_geneformer_t"].tolil()
    chain[np.flatnonzero(has)] = rows_after
    changed.obsp["T_geneformer_t"] = chain.tocsr()
    tl.fates(changed, **ends)
    change = (changed.obsm["fates"]["right"] - adata.obsm["fates"]["right"])[has]
    assert rows["sustained"].dropna().tolist() == pytest.approx([change.mean()], abs=1e-6)
    assert abs(change.mean()) > 1e-4


def test_effects_in_cells_are_what_the_table_averages(adata, model, tmp_path) -> None:
    table = perturbed(adata, model, "g1,g3", with_cells=True, with_ranks=True)
    in_cells = adata.obsm["perturbation: fate left"]
    assert list(in_cells.columns) == ["g1", "g3"]
    assert in_cells[adata.obs["cell_type"] != "early"].isna().all(axis=None)
    left = table[table["readout"] == "fate left"].set_index("symbol")
    np.testing.assert_allclose(in_cells.mean(), left["effect"][["g1", "g3"]], atol=1e-7)
    assert in_cells.notna().sum().tolist() == left["cells"][["g1", "g3"]].tolist()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert anndata.read_h5ad(tmp_path / "cells.h5ad").uns["perturbation_ranks"].shape == (GENES, 2)


def test_effects_in_cells_are_of_one_process(adata, model) -> None:
    source = anndata_source(adata, None, use_raw=False, round_counts=False, options=BY_LAYER)
    settings, both = PerturbSettings(with_cells=True), Processes(0, 2)
    with pytest.raises(ValueError, match="with_cells keeps effects in the memory of one process"):
        perturb_cells(
            model, CellInput(source=source, obs=adata.obs), None, None, settings, processes=both
        )


def test_changes_of_ranks_are_differences_of_predictions_of_edited_counts(adata, model) -> None:
    adata.X[:, :] = adata.X * (np.cumsum(adata.X > 0, axis=1) <= 30)  # all genes are read
    perturbed(adata, model, "g3", with_ranks=True)
    has = np.flatnonzero((adata.X[:, 3] > 0) & (adata.obs["cell_type"] == "early"))
    edited = adata[has].copy()
    edited.X[:, 3] = 0
    both = []
    for cells in (adata[has], edited):
        contexts = Ragged.of(
            [model.vocab.gene_ids[np.argsort(-row, kind="stable")[: int((row > 0).sum())]]
             for row in (x / x.sum() for x in cells.X)]
        )  # fmt: skip
        asked = model.rank_distributions(contexts, 20)
        lengths = (adata.X[has] > 0).sum(axis=1)
        both.append(expected_ranks(asked, lengths, model.vocab.gene_ids))
    expected = (both[1] - both[0]).mean(axis=0)
    found = adata.uns["perturbation_ranks"]["g3"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_a_screen_verifies_its_first_genes_and_says_what_it_finds(adata, model, tmp_path) -> None:
    exact = perturbed(adata, model, pseudotime_key="pseudotime").set_index(["readout", "symbol"])
    controls = {"random": random_weights(model, 1)}
    table = perturbed(
        adata, model, pseudotime_key="pseudotime", screen=True, num_verified=20, controls=controls
    ).set_index(["readout", "symbol"])  # fmt: skip
    assert "transition row" not in table.index.get_level_values(0)
    verified = table.index.get_level_values(1).unique()
    assert 20 <= len(verified) < GENES
    for column in ("effect", "cells", "cells_without", "cells_unchanged"):
        np.testing.assert_allclose(table[column], exact.loc[table.index, column], atol=1e-6)
    # the first ones of every readout, up to the error of estimates
    for readout, rows in exact.groupby(level=0):
        if readout != "transition row":
            first = rows[rows["cells"] >= 10]["effect"].abs().nlargest(8).index
            assert first.isin(table.index).mean() >= 0.75
    assert np.isfinite(table["random_effect"]).all()
    words = adata.uns["perturbation_verdict"][0]
    assert "of the 20 targets with the largest effects among" in words
    adata.write_h5ad(tmp_path / "cells.h5ad")
    written = anndata.read_h5ad(tmp_path / "cells.h5ad").uns["perturbation_estimates"]
    check_estimates(written, table, exact)
    perturbed(adata, model, "g1,g2")  # what another run has written does not stay beside this one
    assert "perturbation_estimates" not in adata.uns
    assert "screen_effect" not in adata.uns["perturbation"]


def check_estimates(estimates, table, exact) -> None:
    """All genes are there, near their exact effects, with nothing that a test would give."""
    assert not {"effect", "z", "p_value", "fdr"} & set(estimates)
    for readout, rows in estimates.groupby("readout", observed=True):
        of_readout, known = exact.loc[readout], rows.set_index("symbol")
        assert sorted(known.index) == sorted(of_readout.index)
        matched = of_readout.loc[known.index]
        np.testing.assert_array_equal(known["cells"], matched["cells"])
        tested = known["cells"] >= 10
        size = known["screen_effect"][tested].abs()
        # how near they are is for test_deletion_estimates.py; of other genes it would be 0 (0.15)
        assert np.corrcoef(known["screen_effect"][tested], matched["effect"][tested])[0, 1] > 0.7
        assert size.is_monotonic_decreasing
        assert known["rank"][tested].tolist() == list(range(1, len(size) + 1))
        assert known["rank"][~tested].isna().all()
        assert known["is_verified"][:20].all()
        verified = table.loc[readout]
        assert set(known.index[known["is_verified"]]) == set(verified.index)
        beside = known["screen_effect"][verified.index]
        np.testing.assert_array_equal(verified["screen_effect"], beside)
        assert (verified["effect"] != beside).any()
        assert np.abs(known["random_screen_effect"] - known["screen_effect"]).max() > 1e-3


def test_progress_tells_of_all_parts_of_a_screen(adata, model) -> None:
    plans, done = [], []
    settings = PerturbSettings(
        min_cells=10, num_null=20, cluster_key="cell_type", clusters=("early",), screen=True,
        num_verified=20, num_sampled=5,
    )  # fmt: skip
    source = anndata_source(adata, None, use_raw=False, round_counts=False, options=BY_LAYER)

    def planned(total: int) -> None:
        plans.append(total)
        done.append(0)

    def advanced(number: int) -> None:
        done[-1] += number

    perturb_cells(
        model, CellInput(source=source, obs=adata.obs), adata.obsm["fates"],
        adata.uns["T_geneformer_t"], settings, on_plan=planned, on_contexts=advanced,
    )  # fmt: skip
    assert plans[0] == done[0] == 40
    assert 0.9 * plans[1] <= done[1] <= plans[1]  # the sample, and what is verified


class _Killed(BaseException):
    """Nothing catches it."""


@pytest.mark.parametrize("screen", [True, False])
def test_an_interrupted_run_with_controls_ends_with_the_same_table(
    adata, model, tmp_path, monkeypatch, screen
) -> None:
    """Killed every so many steps, in every part: all parts are kept, and no bit differs."""
    monkeypatch.setattr(saved_sums, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(exact_effects, "CONTEXTS_AT_ONCE", 16)
    source = anndata_source(adata, None, use_raw=False, round_counts=False, options=BY_LAYER)
    settings = PerturbSettings(
        min_cells=5, num_null=20, cluster_key="cell_type", clusters=("left",), screen=screen,
        num_verified=20, num_sampled=5,
    )  # fmt: skip
    life, parts = {"left": 10**9, "steps": 0}, set()

    def counted(function):
        def step(*given):
            if not life["left"]:
                raise _Killed
            life["left"] -= 1
            life["steps"] += 1
            parts.update(path.name for path in tmp_path.iterdir())
            return function(*given)

        return step

    chain = sp.csr_array(adata.obsp["T_geneformer_t"])

    def run(saved: Path | None) -> Perturbation:
        return perturb_cells(
            model, CellInput(source=source, obs=adata.obs), adata.obsm["fates"],
            adata.uns["T_geneformer_t"], settings, transitions=chain,
            controls={"random": random_weights(model, 1)}, saved=saved,
        )  # fmt: skip

    for place, name in ((NextStep, "rows"), (screened_effects, "estimates_in")):
        monkeypatch.setattr(place, name, counted(getattr(place, name)))
    whole = run(None)
    in_one_go, kills, found = life["steps"], 0, None
    life["steps"] = 0
    while found is None:
        life["left"] = 15 if screen else 8
        try:
            found = run(tmp_path / ".sums")
        except _Killed:
            kills += 1
    pd.testing.assert_frame_equal(found.table, whole.table, check_exact=True)
    pd.testing.assert_frame_equal(found.by_cluster, whole.by_cluster, check_exact=True)
    assert found.sentences == whole.sentences
    # each life reads the cells as they are again, and estimates those of the sample
    assert kills >= 3
    assert life["steps"] <= in_one_go + (8 if screen else 2) * kills
    assert len(parts) == (5 if screen else 2)
    remove_saved(tmp_path / ".sums")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edit": "up:3"}, "a screen is for deleting all genes"),
        ({"genes": "g1"}, "a screen is for deleting all genes"),
        ({"with_cells": True}, "a screen keeps no single cells"),
        ({"fates_key": "none"}, "a screen needs a readout with a gradient"),
    ],
)
def test_what_cannot_be_screened_is_refused(adata, model, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        perturbed(adata, model, **{"screen": True, **options})


def test_as_in_another_cluster_edits_cells_that_lack_the_gene_too(adata, model) -> None:
    table = perturbed(adata, model, "g3", edit="as:left")
    row = table.iloc[0]
    assert row["cells_without"] == 0
    assert row["cells"] + row["cells_unchanged"] == 40


def test_the_verdict_names_controls_baselines_and_seeds(adata, model) -> None:
    other = random_weights(model, 7)
    perturbed(adata, model, controls={"random": random_weights(model, 1)}, seeds=[other, model])
    words = " ".join(adata.uns["perturbation_verdict"])
    assert "association" in words
    assert "targets at q < 0.05 (random: " in words
    assert "ridge" in words
    assert "correlation" in words
    assert "Agreement of 3 models" in words


def test_discoveries_are_counted_and_named_once() -> None:
    names = [f"g{i}" for i in range(12)]
    rows = [
        {"readout": readout, "symbol": name, "effect": effect, "z": 9 * np.sign(effect),
         "p_value": 0.001, "fdr": 0.01 if readout == "fate left" else 0.9}
        for readout in ("fate left", "transition row")
        for name, effect in zip([*names, "h"], [0.5] * 12 + [-0.25], strict=True)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    verdict = ScreenVerdict.of_table(["fate left"], table, [])
    lines = summary(
        SimpleNamespace(
            table=table, verdict=verdict, num_contexts=1234, num_cells=40,
            sentences=["fate left: 13 of 13 targets"],
        )
    ).splitlines()  # fmt: skip
    assert lines[:2] == ["1,234 edited cells were read, of 40 cells", "fate left: 13 of 13 targets"]
    assert lines[2].startswith("fate left, up: g0 (+0.5, z +9.0), g1")
    assert lines[2].endswith("g9 (+0.5, z +9.0), and 2 more")
    assert lines[3:] == [
        "fate left, down: h (-0.25, z -9.0)", "transition row: 0 of 13 targets at q < 0.05"
    ]  # fmt: skip


def test_genes_that_are_not_read_are_named(adata, model) -> None:
    adata.X[:, 0] = (adata.X > 0).sum(axis=1) > 35  # one count, behind all others, in long cells
    adata.X[:, 1:] *= 2
    perturbed(adata, model, "g0,g1", min_cells=1)
    notes = " ".join(adata.uns["perturbation_notes"])
    assert "g0: the model reads the same of most cells" in notes
    assert "the first 30 genes of a cell" in notes


def test_donors_are_the_units(adata, model) -> None:
    table = perturbed(adata, model, donor_key="donor", min_donor_cells=2)
    assert table["units"].max() == 6
    by_cluster = adata.uns["perturbation_by_cluster"]
    assert set(by_cluster["cluster"]) == {"early"}


def test_what_was_written_survives_a_file(adata, model, tmp_path) -> None:
    table = perturbed(adata, model, "g1,g2")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(read.uns["perturbation"], table, check_dtype=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edit": "knock"}, "edit must be delete"),
        ({"edit": "up:500"}, "moves genes by 500 ranks, and the model reads no more than 30"),
        ({"edit": "as:nowhere"}, "no cell has the label 'nowhere'"),
        ({"edit": "as:left", "cluster_key": None, "clusters": ()}, "needs cluster_key"),
        ({"clusters": "late"}, "no cell has the label 'late'"),
        ({"fates": "up"}, "there is no fate 'up'; the fates are: left, right"),
        ({"genes": "g1,nothing"}, "nothing is not in the model's vocabulary"),
        ({"pseudotime_key": "donor"}, "must hold numbers"),
    ],
)
def test_bad_input_says_what_was_expected(adata, model, options, message) -> None:
    with pytest.raises((ValueError, KeyError, TypeError), match=message):
        perturbed(adata, model, **options)


def test_fates_must_be_there_and_of_the_same_model(adata, model) -> None:
    with pytest.raises(ValueError, match="made by another model"):
        perturbed(adata, random_weights(model, 1), "g1")
    del adata.obsm["fates"]
    with pytest.raises(ValueError, match=r"no 'fates' yet, so that left .* gft\.tl\.fates"):
        perturbed(adata, model, "g1", fates="left")
    table = perturbed(adata, model, "g1")
    assert set(table["readout"]) == {"transition row"}


def test_a_control_has_a_name_of_its_own(adata, model) -> None:
    with pytest.raises(ValueError, match="controls: model, ridge would have the columns of"):
        perturbed(adata, model, "g1", controls={"ridge": model, "model": model})


def test_models_of_another_vocabulary_are_refused(adata, model) -> None:
    other = random_weights(model, 1)
    other.vocab = GeneVocab.of_genes({f"h{i}": 1.0 for i in range(20)})
    with pytest.raises(ValueError, match=r"^random has another vocabulary than the model"):
        perturbed(adata, model, "g1", controls={"random": other})
    with pytest.raises(ValueError, match=r"^seeds\[1\] has another vocabulary than the model"):
        perturbed(adata, model, "g1", seeds=[model, other])


def test_logarithms_are_refused(adata, model) -> None:
    adata.X = np.log1p(adata.X)
    with pytest.raises(ValueError, match="raw counts"):
        perturbed(adata, model, "g1")
