"""Cells for pictures, and a guard of Matplotlib's state."""

import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from perturbed_forks import small_model, with_perturbation
from two_forks import two_forks

from bionemo.geneformer_t.model.next_cell_model import NextCellModel


@pytest.fixture
def cells() -> anndata.AnnData:
    return two_forks()


@pytest.fixture
def perturbed(cells: anndata.AnnData) -> anndata.AnnData:
    """As gft.tl.perturb leaves them, with one control."""
    return with_perturbation(cells)


@pytest.fixture(scope="module")
def model() -> NextCellModel:
    return small_model()


@pytest.fixture(autouse=True)
def matplotlib_is_left_alone():
    """Functions of pl change no setting; figures that a test leaves open are closed."""
    before = dict(mpl.rcParams)
    yield
    after = dict(mpl.rcParams)
    plt.close("all")
    assert {k for k in before if before[k] != after[k]} == set()
