from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.counts import mapped_arrays
from bionemo.geneformer_t.counts.mapped_arrays import PageKeeper, map_array, map_npy


def resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("resident memory is read from /proc")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("values", [np.arange(5, dtype=np.uint16), np.zeros(0, dtype=np.int64)])
def test_an_array_comes_back_as_it_was_saved(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "values.npy", values)
    values.tofile(tmp_path / "values.bin")
    for found in (
        map_npy(tmp_path / "values.npy"), map_array(tmp_path / "values.bin", values.dtype)
    ):  # fmt: skip
        np.testing.assert_array_equal(found, values)
        assert found.dtype == values.dtype


def test_pages_are_given_back_and_values_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64 << 20
    np.arange(size // 8).tofile(tmp_path / "values.bin")
    values = map_array(tmp_path / "values.bin", np.dtype("int64"))
    view = values[1_000:1_010]
    before = resident_bytes()
    total = values.sum()
    assert resident_bytes() - before > size // 2
    pages = PageKeeper(values)
    pages.count(mapped_arrays.CELLS_KEPT)
    assert resident_bytes() - before > size // 2
    pages.count(1)
    assert resident_bytes() - before < size // 8
    assert view.tolist() == list(range(1_000, 1_010))
    assert values.sum() == total
