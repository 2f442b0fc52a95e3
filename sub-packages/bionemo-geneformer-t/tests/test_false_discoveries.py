"""One rate of false discoveries, which every text states."""

import inspect

import pytest

from bionemo.geneformer_t.false_discoveries import AT_FDR, FDR
from bionemo.geneformer_t.pl import driver_plots, perturbation_plots
from bionemo.geneformer_t.run.drivers import drivers
from bionemo.geneformer_t.run.perturb import perturb


@pytest.mark.parametrize("command", [drivers, perturb])
def test_the_help_of_a_command_states_it(command) -> None:
    assert AT_FDR in inspect.getdoc(command)
    assert f"q < {FDR}" == AT_FDR


@pytest.mark.parametrize("picture", [driver_plots.drivers, perturbation_plots.perturbation_volcano])
def test_pictures_colour_at_the_same_rate(picture) -> None:
    assert inspect.signature(picture).parameters["fdr"].default == FDR
