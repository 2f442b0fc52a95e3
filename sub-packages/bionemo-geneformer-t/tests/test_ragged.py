import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.ragged import Ragged, places_within


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6))
def test_rows_come_back_as_they_went_in(rows: list[list[int]]) -> None:
    ragged = Ragged.of([np.array(row, dtype=np.int64) for row in rows])
    assert [row.tolist() for row in ragged.rows()] == rows
    assert [ragged.row(i).tolist() for i in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    expected = [place for row in rows for place in range(len(row))]
    assert places_within(ragged.lengths).tolist() == expected
    cut = ragged.truncated(2)
    assert [row.tolist() for row in cut.rows()] == [row[:2] for row in rows]
    framed = ragged.framed([7, 8], [9])
    assert [row.tolist() for row in framed.rows()] == [[7, 8, *row, 9] for row in rows]
    backwards = np.arange(len(rows))[::-1]
    assert [row.tolist() for row in ragged.take(backwards).rows()] == rows[::-1]
    assert Ragged.empty([len(row) for row in rows]).offsets.tolist() == ragged.offsets.tolist()
