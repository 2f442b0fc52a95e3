from dataclasses import replace

from explored_forks import explored_forks
from perturbed_forks import with_perturbation
from two_forks import two_forks

from bionemo.geneformer_t.report.explore.of_report import named_by
from bionemo.geneformer_t.report.perturbation_section import PerturbationResults


def test_drivers_come_first_and_edited_genes_by_their_p_values() -> None:
    cells = with_perturbation(two_forks())
    drivers = cells.uns["fate_drivers"]
    drivers = drivers[drivers["fate"].eq("A") | drivers["gene"].eq("z")]
    fates = replace(explored_forks().fates, fates=cells.obsm["fates"], drivers=drivers)
    named = list(named_by(fates, None))
    assert named == ["w", "z", "z", "x", "y", "z"]
    table = cells.uns["perturbation"].iloc[::-1]
    edited = list(named_by(None, PerturbationResults(table=table)))
    assert edited == ["w", "x", "y", "w", "x"]
    assert list(named_by(fates, PerturbationResults(table=table))) == named + edited


def test_without_either_nothing_is_named() -> None:
    assert list(named_by(None, None)) == []
    assert list(named_by(explored_forks().fates, None)) == []
