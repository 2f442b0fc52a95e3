import numpy as np
from explored_forks import explored_forks

from bionemo.geneformer_t.report.explore.map_arrows import (
    PREDICTED,
    TRANSITIONS,
    TRUE,
    map_arrows,
)


def test_arrows_lead_from_cells_to_where_they_go() -> None:
    """All go to the right; those to predictions end further up by the same for every cell."""
    found = explored_forks()
    assert found.fates is not None
    rng = np.random.default_rng(0)
    arrows = dict(map_arrows(found.where.coordinates, found.arrows, found.fates.transitions, rng))
    assert list(arrows) == [PREDICTED, TRUE, TRANSITIONS]
    true, predicted = arrows[TRUE], arrows[PREDICTED]
    assert (true[:, 2] > true[:, 0]).all()
    np.testing.assert_allclose(true[:, :2], predicted[:, :2])
    further = predicted[:, 2:] - true[:, 2:]
    np.testing.assert_allclose(further, further[0, 0])
    assert further[0, 0] > 0
    assert arrows[TRANSITIONS].shape[1] == 4


def test_without_transitions_there_are_no_such_arrows() -> None:
    found = explored_forks()
    rng = np.random.default_rng(0)
    arrows = map_arrows(found.where.coordinates, found.arrows, None, rng)
    assert [name for name, _ in arrows] == [PREDICTED, TRUE]
