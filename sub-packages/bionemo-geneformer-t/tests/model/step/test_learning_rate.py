"""Warm-up rises to the peak, the cosine falls to zero."""

import pytest

from bionemo.geneformer_t.model.step.learning_rate import default_warmup, warmup_cosine


def test_it_rises_then_falls_to_zero():
    factors = [warmup_cosine(step, 10, 100) for step in range(101)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[10] == 1
    assert factors[100] == pytest.approx(0)
    assert factors[0] > 0


def test_no_warmup_starts_at_the_peak():
    assert warmup_cosine(0, 0, 100) == 1


@pytest.mark.parametrize(("total", "warmup"), [(5, 0), (100, 10), (1_000_000, 2_000)])
def test_the_default_warmup_is_a_tenth_at_most_2000(total, warmup):
    assert default_warmup(total) == warmup
