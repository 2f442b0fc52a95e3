"""The tests verify the shapes and types in signatures wherever arrays flow."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from bionemo.geneformer_t.neighbors.nearest import closeness, nearest_others

SOURCE = Path(__file__).parents[1] / "src"


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        closeness(np.zeros(3))  # one axis instead of two


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        nearest_others(np.zeros((5, 2)), "three")


@pytest.mark.slow
def test_types_that_mypy_alone_imports_are_in_texts_that_are_the_whole_annotation() -> None:
    """Older jaxtyping leaves such a text alone, and looks up one that is part of an annotation."""
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in SOURCE.rglob("*.py")
        for line, text in quoted_in_part(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_type_quoted_in_part_is_found() -> None:
    head = "if TYPE_CHECKING:\n    import pandas as pd\n"
    assert [*quoted_in_part(ast.parse(head + 'def f() -> tuple["pd.Series", int]: ...'))] == [
        (3, "pd.Series")
    ]
    assert not [*quoted_in_part(ast.parse(head + 'def f() -> "tuple[pd.Series, int]": ...'))]


def quoted_in_part(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of types, imported for mypy alone, that are quoted inside an annotation."""
    unknown = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for line in node.body
        if isinstance(line, ast.Import | ast.ImportFrom)
        for alias in line.names
    }
    for node in ast.walk(module) if unknown else ():
        whole = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if whole is None or isinstance(whole, ast.Constant):
            continue
        for part in ast.walk(whole):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                first = re.match(r"\w+", part.value)
                if first and first[0] in unknown:
                    yield part.lineno, part.value
