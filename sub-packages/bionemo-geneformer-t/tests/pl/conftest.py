"""Cells for pictures, and a guard of Matplotlib's state."""

import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from two_forks import two_forks


@pytest.fixture
def cells() -> anndata.AnnData:
    return two_forks()


@pytest.fixture(autouse=True)
def matplotlib_is_left_alone():
    """Functions of pl change no setting; figures that a test leaves open are closed."""
    before = dict(mpl.rcParams)
    yield
    after = dict(mpl.rcParams)
    plt.close("all")
    assert {k for k in before if before[k] != after[k]} == set()
