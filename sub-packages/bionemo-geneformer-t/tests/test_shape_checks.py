"""The tests verify the shapes and types in signatures wherever arrays flow."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from bionemo.geneformer_t.neighbors.nearest import closeness, nearest_others


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        closeness(np.zeros(3))  # one axis instead of two


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        nearest_others(np.zeros((5, 2)), "three")
