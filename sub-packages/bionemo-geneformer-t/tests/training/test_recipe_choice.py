"""Recipe `auto`: chosen by the training cells, in favor of what predicts held-out cells better."""

import logging
from pathlib import Path

import pytest

from bionemo.geneformer_t.run.command import resolve
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.training import recipe_choice
from bionemo.geneformer_t.training.recipe_choice import DRAWN, NEIGHBORS, choose_recipe
from bionemo.geneformer_t.training.recipes import RECIPES
from bionemo.geneformer_t.training.settings import TrainSettings

SMALL = RECIPES["small"]


@pytest.fixture(scope="module")
def shallow(tmp_path_factory) -> Path:
    """Poisson counts, of which most genes have none or one."""
    return simulate(
        output_dir=tmp_path_factory.mktemp("shallow") / "data", num_cells=250, num_genes=2000,
        counts_per_cell=1000.0, dispersion=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    """Counts that vary four times more than their mean, as full-length reads do."""
    return simulate(
        output_dir=tmp_path_factory.mktemp("deep") / "data", num_cells=150, num_genes=600,
        counts_per_cell=20_000.0, dispersion=4.0,
    )  # fmt: skip


@pytest.mark.slow
def test_next_cells_are_drawn_anew_where_counting_is_the_noise(shallow) -> None:
    choice = choose_recipe({"data_dir": shallow, "seq_length": 128}, SMALL)
    assert (choice.recipe, choice.settings) == ("small", {"max_steps": 200, **DRAWN})
    assert choice.settings["resampling_neighbors"] == NEIGHBORS
    measured, drawn = _nats(choice.reasons[-1])
    assert drawn < measured
    assert choice.reasons[-1].endswith(
        "so the model learns from cells drawn anew (resampling_neighbors 20, learning_rate 0.002, "
        "num_epochs 20)"
    )


@pytest.mark.slow
def test_measured_cells_are_kept_where_cells_differ_more_than_counting_explains(deep) -> None:
    choice = choose_recipe({"data_dir": deep, "seq_length": 128}, SMALL)
    assert (choice.recipe, choice.settings) == ("small", {"max_steps": 200})
    measured, drawn = _nats(choice.reasons[-1])
    assert measured < drawn
    assert choice.reasons[-1].endswith("so the model learns from measured ones")


@pytest.mark.slow
def test_the_choice_and_its_reasons_are_logged_and_yield_to_what_is_given(
    shallow, tmp_path, caplog
) -> None:
    given = {
        "data_dir": shallow,
        "seq_length": 128,
        "output_dir": tmp_path / "run",
        "recipe": "auto",
    }
    with caplog.at_level(logging.INFO):
        settings = resolve(TrainSettings, {**given, "learning_rate": 1e-5})
    assert settings.resampling_neighbors == NEIGHBORS
    assert settings.learning_rate == 1e-5
    assert settings.hidden_size == SMALL["hidden_size"]
    assert "recipe auto takes 'small': " in caplog.text
    assert "training cells have successors" in caplog.text
    assert settings == resolve(TrainSettings, {**given, "learning_rate": 1e-5})


@pytest.mark.parametrize(("given", "further"), [(0, {}), (7, DRAWN)])
def test_a_number_of_neighbors_that_is_given_is_not_compared(tiny_data_dir, given, further) -> None:
    choice = choose_recipe({"data_dir": tiny_data_dir, "resampling_neighbors": given}, SMALL)
    assert choice.settings == {"max_steps": 200, **further}
    assert len(choice.reasons) == 1


def test_every_cell_is_seen_once_however_many_there_are(tiny_data_dir) -> None:
    few = {**SMALL, "max_steps": 3, "micro_batch_size": 10}
    choice = choose_recipe({"data_dir": tiny_data_dir}, few)
    assert choice.settings["max_steps"] == 4  # for 39 cells


def test_settings_of_pairs_are_those_of_the_run(tiny_data_dir) -> None:
    given = {"data_dir": tiny_data_dir, "only_cells_with_neighbors": False}
    assert choose_recipe(given, SMALL).recipe == "small"
    with pytest.raises(ValueError, match="no_neighbor_policy"):
        choose_recipe({**given, "no_neighbor_policy": "nonsense"}, SMALL)


def test_single_cells_have_nothing_to_compare(tiny_data_dir) -> None:
    choice = choose_recipe({"data_dir": tiny_data_dir, "objective": "mlm"}, SMALL)
    assert choice == ("small", {}, ["objective 'mlm' learns no successors to compare"])


def test_many_cells_get_the_large_network(tiny_data_dir, monkeypatch) -> None:
    monkeypatch.setattr(recipe_choice, "MOST_FOR_SMALL", 10)
    choice = choose_recipe({"data_dir": tiny_data_dir}, SMALL)
    assert choice.recipe == "large"
    assert choice.reasons == ["39 training cells have successors, more than 10 (it needs a GPU)"]


def test_pretrained_weights_are_fine_tuned() -> None:
    assert choose_recipe({"pretrained": "weights"}, SMALL).recipe == "finetune"


def test_where_there_are_no_cells_the_folder_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        choose_recipe({"data_dir": tmp_path}, SMALL)


def _nats(reason: str) -> tuple[float, float]:
    words = (word.strip("(,)") for word in reason.split())
    measured, drawn, *_ = (float(word) for word in words if word.replace(".", "").isdigit())
    return measured, drawn
