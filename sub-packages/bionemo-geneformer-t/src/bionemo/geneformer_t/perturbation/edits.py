"""Edits of a cell: genes deleted, moved by ranks, or put where they are in other cells.

An edit works on all known genes of a cell in rank order, before the cell is cut to what the model
reads: a gene that is deleted lets the first one beyond the cut move in. Several genes are edited at
once, each from its rank in the cell as it was, so that their order does not matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Integer
from numpy import ndarray

from bionemo.geneformer_t.ragged import Ragged, places_within

ABSENT = -1
"""The rank of a gene that a cell does not hold."""
_MOVE = re.compile(r"(?P<direction>up|down):(?P<ranks>\d+)")
_AS_IN = re.compile(r"as:(?P<cluster>.+)")


@dataclass(frozen=True)
class Delete:
    """The genes are not expressed."""

    def __str__(self) -> str:
        return "delete"


@dataclass(frozen=True)
class Move:
    """The genes move by ranks, as far as the cell goes."""

    ranks: int
    """Toward the first rank; negative for away from it."""

    def __str__(self) -> str:
        return f"{'up' if self.ranks > 0 else 'down'}:{abs(self.ranks)}"


@dataclass(frozen=True)
class AsIn:
    """The genes get the ranks that they have in another cluster; cells without them get them."""

    cluster: str

    def __str__(self) -> str:
        return f"as:{self.cluster}"


Edit = Delete | Move | AsIn


def parse_edit(text: str) -> Edit:
    """An edit from its word: `delete`, `up:50`, `down:50` or `as:Beta`.

    Raises:
        ValueError: It is none of these, or moves by 0 ranks.
    """
    if text == "delete":
        return Delete()
    if (found := _MOVE.fullmatch(text)) and int(found["ranks"]):
        ranks = int(found["ranks"])
        return Move(ranks if found["direction"] == "up" else -ranks)
    if found := _AS_IN.fullmatch(text):
        return AsIn(found["cluster"])
    raise ValueError(
        "edit must be delete, up:K or down:K with a number of ranks above 0, or as:CLUSTER; got "
        f"{text!r}"
    )


def edited(
    cell: Integer[ndarray, " gene"],
    tokens: Int[ndarray, " edited"],
    edit: Edit,
    ranks_elsewhere: Mapping[int, int] | None = None,
) -> Integer[ndarray, " gene_after"] | None:
    """The cell after an edit; None where it lacks a gene that is to be deleted or moved.

    Args:
        cell: All its known genes, highest rank value first.
        tokens: The genes that are edited, each once.
        edit: What is done to them.
        ranks_elsewhere: For `AsIn`, the rank (from 0, or `ABSENT`) of every one of these genes in
            the other cluster; see `typical_ranks`.
    """
    places = ranks_in(cell, tokens)
    match edit:
        case AsIn():
            assert ranks_elsewhere is not None
            return placed(cell, tokens, np.array([ranks_elsewhere[t] for t in tokens.tolist()]))
        case _ if (places == ABSENT).any():
            return None
        case Delete():
            return placed(cell, tokens, np.full(len(tokens), ABSENT))
        case Move(ranks=ranks):
            return placed(cell, tokens, np.clip(places - ranks, 0, len(cell) - 1))


def ranks_in(
    cell: Integer[ndarray, " gene"], tokens: Int[ndarray, " edited"]
) -> Int[ndarray, " edited"]:
    """The rank of each gene in a cell, from 0; `ABSENT` where the cell lacks it."""
    is_same = cell[:, None] == tokens
    return np.where(is_same.any(axis=0), is_same.argmax(axis=0), ABSENT)


def placed(
    cell: Integer[ndarray, " gene"],
    tokens: Int[ndarray, " edited"],
    places: Int[ndarray, " edited"],
) -> Integer[ndarray, " gene_after"]:
    """The cell with genes at other ranks; the other genes keep their order around them.

    Args:
        cell: All its genes in rank order.
        tokens: The genes that are placed; the cell may lack some.
        places: Their ranks afterwards, from 0; `ABSENT` for none. Of genes that want the same
            rank, the one that was higher comes first, then the one of the smaller token; what is
            beyond the end of the cell comes last in it.
    """
    before = ranks_in(cell, tokens)
    is_kept = places != ABSENT
    last = np.where(before == ABSENT, len(cell), before)
    order = np.lexsort((tokens, last, places))
    order = order[is_kept[order]]
    others = cell[~np.isin(cell, tokens)]
    number = len(others) + len(order)
    at = _distinct(places[order], number)
    after = np.empty(number, dtype=cell.dtype)
    is_free = np.ones(number, dtype=bool)
    is_free[at] = False
    after[at], after[is_free] = tokens[order], others
    return after


def _distinct(wanted: Int[ndarray, " place"], number: int) -> Int[ndarray, " place"]:
    """Ascending places, each at or behind the wanted one where there is room before the end."""
    steps = np.arange(len(wanted))
    behind = np.maximum.accumulate(wanted - steps) + steps
    room = number - len(wanted) + steps
    found: Int[ndarray, " place"] = np.minimum(behind, room)
    return found


def typical_ranks(
    cells: Ragged, tokens: Int[ndarray, " edited"], vocab_size: int
) -> dict[int, int]:
    """The rank of each gene in the middle cell of a cluster, from 0.

    It is the (upper) median over all cells, where a cell without the gene counts as one with the
    gene behind all others: a gene that half of the cells lack is `ABSENT`.

    Args:
        cells: All genes of each cell in rank order.
        tokens: The genes.
        vocab_size: Tokens of the vocabulary.
    """
    column: Int[ndarray, " token"] = np.full(vocab_size, -1)
    column[tokens] = np.arange(len(tokens))
    of_value = column[cells.values]
    is_asked: Bool[ndarray, " value"] = of_value >= 0
    rows = np.repeat(np.arange(len(cells)), cells.lengths)[is_asked]
    nowhere = np.iinfo(np.int64).max
    table = np.full((len(cells), len(tokens)), nowhere)
    table[rows, of_value[is_asked]] = places_within(cells.lengths)[is_asked]
    middle = np.sort(table, axis=0)[len(cells) // 2]
    middle[middle == nowhere] = ABSENT
    return dict(zip(tokens.tolist(), middle.tolist(), strict=True))
