"""What `geneformer-t perturb` wrote is what the report draws; what is no such file is refused."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from perturbed_forks import small_model, with_perturbation
from two_forks import two_forks

from bionemo.geneformer_t.report.perturbation_section import perturbation_section
from bionemo.geneformer_t.report.pictures import Picture
from bionemo.geneformer_t.run.perturbation_drawn import perturbation_results


@pytest.fixture
def cells():
    made = with_perturbation(two_forks())
    made.uns["perturbation_params"] = {"model": "mine", "fates_key": "other"}
    made.uns["perturbation_verdict"] = np.array(["found nothing"], dtype=object)
    made.uns["perturbation_notes"] = np.array(["no donors"], dtype=object)
    made.obsm["other"] = made.obsm["fates"]
    return made


def test_everything_that_is_stored_is_drawn(cells, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Picture, "of", lambda _, name: name)  # figures are built, not rendered
    cells.write_h5ad(tmp_path / "effects.h5ad")
    found = perturbation_results(tmp_path / "effects.h5ad", "mine")
    expected = cells.uns["perturbation"]
    pd.testing.assert_frame_equal(found.table.reset_index(drop=True), expected, check_dtype=False)
    assert found.verdict == ["found nothing"]
    assert found.notes == ["no donors"]
    assert set(found.in_cells) == {"fate A", "fate B", "fate C"}
    assert found.fates.equals(cells.obsm["other"])
    section = perturbation_section(found)
    assert section["volcano"] is not None
    assert section["clusters"] is not None
    assert section["changes"] is not None


def test_a_csv_has_the_same_table(cells, tmp_path) -> None:
    table = cells.uns["perturbation"].replace({"symbol": {"Alp": "NA"}})
    table.to_csv(tmp_path / "effects.csv", index=False)
    found = perturbation_results(tmp_path / "effects.csv", "any")
    pd.testing.assert_frame_equal(found.table, table, check_dtype=False)
    assert found.by_cluster is found.fates is None


def test_a_file_that_does_not_say_whose_effects_it_has_is_noted(cells, tmp_path) -> None:
    cells.uns["perturbation"].to_csv(tmp_path / "effects.csv", index=False)
    note = "{} does not say which model its effects are of, so it could not be checked"
    notes = perturbation_results(tmp_path / "effects.csv", "mine").notes
    assert [text.startswith(note.format("effects.csv")) for text in notes] == [True]
    del cells.uns["perturbation_params"]["model"]
    cells.write_h5ad(tmp_path / "model.h5ad")
    del cells.uns["perturbation_params"]
    cells.write_h5ad(tmp_path / "params.h5ad")
    for name in ("model.h5ad", "params.h5ad"):
        noted = perturbation_results(tmp_path / name, "mine").notes
        assert noted[0] == "no donors"
        assert noted[1].startswith(note.format(name))
        assert len(noted) == 2


def test_the_first_genes_are_followed_along_the_trajectory(cells, tmp_path) -> None:
    path = tmp_path / "effects.h5ad"
    counts = cells.X.toarray()
    order = np.argsort(-counts, axis=1, kind="stable")[:, :3]  # ties in the order of the genes
    rank = np.where((order == 0).any(axis=1), 1 - (order == 0).argmax(axis=1) / 3, 0.0)
    expected = [rank[:20].mean(), rank[20:].mean()]
    assert abs(expected[0] - expected[1]) > 0.05

    def trends():
        cells.write_h5ad(path)
        return perturbation_results(path, "mine", load=small_model).trends

    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X.sign()  # what was read is the layer
    cells.obs["stage"] = np.repeat([1.0, 2.0], 20)
    cells.obs["day"] = np.repeat(["D10", "D9"], 20)
    cells.obs["fate_steps"] = np.repeat([7.0, np.nan], 20)
    params = {**cells.uns["perturbation_params"], "layer": "counts"}
    cells.uns["perturbation_params"] = {**params, "pseudotime_key": "stage", "time_key": "day"}
    found = trends()
    assert (found.along, found.num_cells, found.is_reversed) == ("stage", 40, False)
    assert list(found.curves) == ["Alp", "Bet", "Gam"]  # no combination
    np.testing.assert_allclose(found.curves["Alp"].place, [1, 2])
    np.testing.assert_allclose(found.curves["Alp"].mean, expected, rtol=1e-6)

    cells.uns["perturbation_params"] = {**params, "pseudotime_key": "", "time_key": "day"}
    found = trends()
    assert found.along == "day"
    np.testing.assert_allclose(found.curves["Alp"].mean, expected[::-1], rtol=1e-6)

    cells.uns["perturbation_params"] = params
    found = trends()
    assert (found.along, found.num_cells) == ("expected number of steps to a terminal state", 20)
    assert found.is_reversed
    np.testing.assert_allclose(found.curves["Alp"].mean, expected[:1], rtol=1e-6)

    del cells.obs["fate_steps"]
    assert trends() is None
    assert perturbation_results(path, "mine").trends is None


def test_the_file_beside_a_csv_says_whose_effects_it_has(cells, tmp_path) -> None:
    path = tmp_path / "effects.csv"
    cells.uns["perturbation"].to_csv(path, index=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    about = {"params": {"model": "mine"}, "verdict": ["none"], "notes": ["few"], "table": digest}
    (tmp_path / "effects.about.json").write_text(json.dumps(about))
    found = perturbation_results(path, "mine")
    assert found.verdict == ["none"]
    assert found.notes == ["few"]
    with pytest.raises(ValueError, match="by another model than this checkpoint"):
        perturbation_results(path, "yours")
    path.write_bytes(path.read_bytes().replace(b"Alp", b"Alq"))  # another table by now
    assert "does not say which model its effects are of" in perturbation_results(path, "y").notes[0]
    (tmp_path / "effects.about.json").write_text("[]")
    with pytest.raises(ValueError, match=r"about\.json is not what geneformer-t perturb writes"):
        perturbation_results(path, "mine")


def test_what_is_no_table_of_effects_is_refused(cells, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"perturbation: expected a \.csv"):
        perturbation_results(tmp_path / "none.csv", "mine")
    with pytest.raises(FileNotFoundError, match=r"perturbation: expected an \.h5ad"):
        perturbation_results(tmp_path / "none.h5ad", "mine")
    with pytest.raises(ValueError, match=r"expected the .h5ad or .csv .* got .*none\.txt"):
        perturbation_results(tmp_path / "none.txt", "mine")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"bytes\.csv cannot be read as a table"):
        perturbation_results(tmp_path / "bytes.csv", "mine")
    (tmp_path / "other.csv").write_text("fate,gene\nA,w\n")
    with pytest.raises(ValueError, match=r"the table of gft\.tl\.perturb; it has no readout"):
        perturbation_results(tmp_path / "other.csv", "mine")
    cells.uns["perturbation"].iloc[:0].to_csv(tmp_path / "empty.csv", index=False)
    with pytest.raises(ValueError, match="has no rows"):
        perturbation_results(tmp_path / "empty.csv", "mine")
    cells.uns["perturbation"].drop(columns="cells").to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(ValueError, match="it has no cells"):
        perturbation_results(tmp_path / "few.csv", "mine")


def test_effects_of_another_model_are_refused(cells, tmp_path) -> None:
    cells.write_h5ad(tmp_path / "effects.h5ad")
    with pytest.raises(ValueError, match="by another model than this checkpoint"):
        perturbation_results(tmp_path / "effects.h5ad", "yours")
    del cells.uns["perturbation"]
    cells.write_h5ad(tmp_path / "effects.h5ad")
    with pytest.raises(KeyError, match=r"run gft\.tl\.perturb first"):
        perturbation_results(tmp_path / "effects.h5ad", "mine")
