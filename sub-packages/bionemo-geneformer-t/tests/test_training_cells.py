import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training_cells import HIGHEST, LastTime, TrainingCells, cell_numbers

RNG = np.random.default_rng(0)


def cells_of(number: int, longest: int = 40) -> list[np.ndarray]:
    return [RNG.permutation(60)[: RNG.integers(1, longest)] for _ in range(number)]


def recorded(cells: list[np.ndarray], last_time=None) -> TrainingCells:
    return TrainingCells(numbers=np.unique(cell_numbers(Ragged.of(cells))), last_time=last_time)


def test_a_cell_is_known_by_its_genes_in_their_order_in_any_company() -> None:
    cells = cells_of(300)
    alone = [cell_numbers(Ragged.of([cell]))[0] for cell in cells]
    assert cell_numbers(Ragged.of(cells)).tolist() == alone
    distinct = {tuple(cell.tolist()) for cell in cells}
    assert len(set(alone)) == len(distinct)


def test_a_swap_a_missing_gene_and_another_depth_are_other_cells() -> None:
    cell = RNG.permutation(500)
    others = [cell[[1, 0, *range(2, 500)]], cell[:-1], cell[1:], np.append(cell, 501)]
    trained = recorded([cell])
    assert trained.hold(Ragged.of([cell, *others])).tolist() == [True, False, False, False, False]
    low = cell.copy()
    low[[HIGHEST, HIGHEST + 1]] = cell[[HIGHEST + 1, HIGHEST]]
    assert trained.hold(Ragged.of([low])).all()  # as far as cells are compared


def test_numbers_of_many_cells_are_spread_evenly_and_none_is_shared() -> None:
    """Cells of one gene, of two, and so on: the hardest case for a sum of their genes."""
    pairs = [np.array([i, j]) for i in range(200) for j in range(200) if i != j]
    numbers = cell_numbers(Ragged.of(pairs)).view(np.uint64)
    assert len(np.unique(numbers)) == len(pairs)
    for bits in (numbers % np.uint64(64), numbers >> np.uint64(58)):
        counts = np.bincount(bits.astype(np.int64), minlength=64)
        chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert 30 < chi_square < 110  # 63 degrees of freedom


def test_a_cell_without_genes_is_no_training_cell() -> None:
    empty = Ragged.of([np.zeros(0, dtype=np.int64)])
    assert not recorded([np.zeros(0, dtype=np.int64)]).hold(empty).any()


@pytest.mark.parametrize("last", [None, LastTime(time_key="day", labels=("E15.5",))])
def test_what_is_recorded_comes_back(last) -> None:
    trained = recorded(cells_of(20), last)
    again = TrainingCells.from_dict(trained.to_dict())
    assert np.array_equal(again.numbers, trained.numbers)
    assert again.last_time == last


@pytest.mark.parametrize(
    ("labels", "column", "expected"),
    [
        (("E15.5",), ["E14.5", "E15.5 ", None], [False, True, False]),
        (("11.0",), [10, 11, 12], [False, True, False]),
        (("11",), [10.0, 11.0, np.nan], [False, True, False]),
        (("11",), ["10", "11", "11.0"], [False, True, False]),
    ],
)
def test_the_last_time_is_found_in_text_and_numbers(labels, column, expected) -> None:
    last = LastTime(time_key="day", labels=labels)
    assert last.of(pd.DataFrame({"day": column})).tolist() == expected
    assert last.of(pd.DataFrame({"week": column})) is None
