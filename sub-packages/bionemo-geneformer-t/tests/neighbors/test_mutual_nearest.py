"""Mutual neighbors keep to each other, spread over the cells there are, and run ahead in time."""

import numpy as np

from bionemo.geneformer_t.neighbors.mutual_nearest import (
    REACH,
    general_closeness,
    mutual_neighbors,
)

RNG = np.random.default_rng(0)


def test_pairs_are_mutual_in_corrected_distance_and_nearest_first() -> None:
    current, following = RNG.normal(size=(70, 4)), RNG.normal(size=(50, 4)) + 0.5
    found, _, alone = mutual_neighbors(current, following, 3)
    of_current, of_following = general_closeness(current, following)
    squares = ((current[:, None] - following) ** 2).sum(axis=2)
    corrected = squares - of_current[:, None] - of_following
    there, back = (corrected.argsort(axis=a).argsort(axis=a) < 3 * REACH for a in (1, 0))
    assert alone.tolist() == (~(there & back).any(axis=1)).tolist()
    for cell in range(70):
        allowed = (there & back)[cell] | alone[cell]
        expected = np.where(allowed, corrected[cell], np.inf).argsort()[:3]
        num = min(3, allowed.sum())
        assert found[cell, :num].tolist() == expected[:num].tolist()


def test_cells_that_nobody_chooses_get_their_nearest_and_are_told() -> None:
    found, distances, alone = mutual_neighbors(
        RNG.normal(size=(300, 3)), RNG.normal(size=(10, 3)), 1
    )
    assert alone.sum() >= 300 - 10 * REACH
    assert np.isfinite(distances).all()
    assert found.shape == (300, 1)


def test_overlapping_time_points_still_lead_ahead() -> None:
    now, later = RNG.normal(0, 1, 600), RNG.normal(1, 1, 600)
    found, distances, _ = mutual_neighbors(now[:, None], later[:, None], 5)
    ahead = (later[found] > now[:, None])[np.isfinite(distances)].mean()
    nearest_ahead = np.mean([later[np.abs(later - place).argsort()[:5]] > place for place in now])
    assert nearest_ahead < 0.6
    assert ahead > 0.9


def test_a_hub_is_not_everybodys_successor() -> None:
    current = RNG.normal(size=(200, 20))
    following = RNG.normal(size=(200, 20)) + 1
    following[0] = 0
    found, distances, _ = mutual_neighbors(current, following, 3)
    squares = ((current[:, None] - following) ** 2).sum(axis=2)
    plain = (squares.argsort(axis=1)[:, :3] == 0).any(axis=1).sum()
    corrected = ((found == 0) & np.isfinite(distances)).any(axis=1).sum()
    assert plain > 150
    assert corrected < 75
