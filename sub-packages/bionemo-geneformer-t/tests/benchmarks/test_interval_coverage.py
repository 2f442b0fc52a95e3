"""The coverage of intervals can be measured; `tests/evaluate/test_intervals.py` holds bounds."""

import interval_coverage as bench
import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.units import Units


@pytest.mark.slow
def test_every_measure_has_both_intervals_around_its_mean(without_type_checks):
    world = bench.World.draw()
    judges, draw = bench.Judges.fit(world), bench.settings_of(world)["simulate, 25 cells"]
    rng = np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(2)]
    found = [bench.intervals_of(one, judges, rng) for one in drawn]
    rows = bench.coverage("small", found, [Units.of(*one).levels[-1].effective() for one in drawn])
    assert [row["measure"] for row in rows] == [
        "cross-entropy", "gain over frequencies", "gain over similar cells", "gain in change",
        "gain in direction",
    ]  # fmt: skip
    for one in found:
        for interval, (low, high) in one.values():
            assert interval.low < interval.mean < interval.high
            assert low <= interval.mean <= high
    assert all(row["width / before"] > 1 for row in rows)
