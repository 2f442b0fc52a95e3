"""Agreement of models: SciPy's tau over the targets that all have tested."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from bionemo.geneformer_t.perturbation.seed_agreement import seed_agreement

RNG = np.random.default_rng(0)


def test_tau_is_over_the_targets_that_all_models_tested() -> None:
    models = [RNG.standard_normal((40, 2)) for _ in range(3)]
    models[0][:5], models[2][30, 1] = np.nan, np.nan
    found = seed_agreement(models)
    assert found.targets.tolist() == [35, 34]
    for pair, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        for readout in range(2):
            some = np.isfinite(np.stack(models)[:, :, readout]).all(axis=0)
            expected = kendalltau(models[one][some, readout], models[other][some, readout])
            assert found.tau[pair, readout] == pytest.approx(expected.statistic)
    assert found.models == 3


def test_the_same_order_is_1_the_opposite_one_minus_1() -> None:
    effects = RNG.standard_normal((30, 1))
    found = seed_agreement([effects, np.exp(effects), -effects])
    np.testing.assert_allclose(found.tau[:, 0], [1, -1, -1])
    assert found.sentence(["to A"]) == (
        "Agreement of 3 models (Kendall's tau between their effects; 1 is the same order, "
        "0 chance): to A: -0.33, -1.00 to 1.00 (30 targets)."
    )


def test_few_targets_or_equal_effects_have_no_agreement() -> None:
    few = np.full((30, 2), np.nan)
    few[:9, 0], few[:, 1] = np.arange(9), 1.0
    found = seed_agreement([few, few])
    assert np.isnan(found.tau).all()
    sentence = found.sentence(["to A", "time"])
    assert "to A: not known, as all models tested 9 targets alike and 10 are needed" in sentence
    assert "time: not known, as a model has the same effect for all targets" in sentence


def test_one_model_or_other_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="two models or more on the same targets"):
        seed_agreement([np.zeros((3, 1))])
    with pytest.raises(ValueError, match=r"got 2 of shapes \[\(3, 1\), \(4, 1\)\]"):
        seed_agreement([np.zeros((3, 1)), np.zeros((4, 1))])
