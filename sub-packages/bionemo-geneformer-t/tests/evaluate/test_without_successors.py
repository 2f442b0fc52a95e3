import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.scores.expression_change import change_correlation
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles, mean_next_profiles
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.evaluate.without_successors import Arrangement, score_arranged

NUM_RANKS, VOCAB = 6, 25


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("donors", [None, np.arange(30) % 3])
def test_scores_are_those_of_pairs_that_were_never_there(random_split, donors, shift) -> None:
    rng, pairs = np.random.default_rng(0), random_split(num_cells=30)
    level = Units.of(pairs, donors).levels[-1]
    targets = list(pairs.targets())
    profiles = PairProfiles.of(pairs, targets, NUM_RANKS)
    current, _ = profiles.dense
    predicted = rng.random(current.shape)
    axes = np.linalg.qr(rng.normal(size=(VOCAB, 4)))[0].T
    itself = np.arange(len(current))
    whose = Arrangement(np.roll(itself, 2 * shift), np.roll(itself, shift))
    found = score_arranged(predicted, axes, profiles, [level], whose)
    predicted, current = predicted[whose.prediction], current[whose.current]
    checked = 0
    for part, cell in enumerate(level.parts.cells):
        gone = level.parts.gathering[[part]].toarray()[0] > 0
        rest = (pairs.current == pairs.cells[cell]) & ~gone
        if not rest.any():
            continue
        [left] = pairs.keep(rest).targets()
        [profile] = mean_next_profiles([left], NUM_RANKS, VOCAB).toarray()
        change = change_correlation(predicted[[cell]], current[[cell]], profile[None])
        steps = (x @ axes.T - current[[cell]] @ axes.T for x in (predicted[[cell]], profile[None]))
        assert found.change_without[0][part] == pytest.approx(change[0], abs=1e-5, nan_ok=True)
        assert found.direction_without[0][part] == pytest.approx(
            cosines(*steps)[0], abs=1e-4, nan_ok=True
        )
        checked += 1
    assert checked > 15
