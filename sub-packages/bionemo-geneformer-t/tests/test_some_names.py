"""Messages show the first names, and say where there are more."""

import pytest

from bionemo.geneformer_t.some_names import some_names


@pytest.mark.parametrize(
    ("names", "most", "shown"),
    [
        ([], 2, ""),
        (["a"], 2, "a"),
        (["a", "b"], 2, "a, b"),
        (["a", "b", "c"], 2, "a, b, ..."),
        ({1: "x", 2: "y"}, 1, "1, ..."),
        (map(repr, "abc"), 5, "'a', 'b', 'c'"),
    ],
)
def test_as_many_names_as_there_is_room_for(names, most, shown) -> None:
    assert some_names(names, most) == shown


def test_five_names_unless_something_else_is_said() -> None:
    assert some_names("abcde", separator="; ") == "a; b; c; d; e"
    assert some_names("abcdef") == "a, b, c, d, e, ..."
