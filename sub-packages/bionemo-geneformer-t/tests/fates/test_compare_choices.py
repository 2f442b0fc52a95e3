"""Fates of two choices of terminal states, where no cell can be compared."""

import numpy as np

from bionemo.geneformer_t.fates.chain_structure import chain_structure, checked_transitions
from bionemo.geneformer_t.fates.compare_choices import ALL, compare_choices
from bionemo.geneformer_t.fates.fate_probabilities import fate_probabilities
from bionemo.geneformer_t.fates.terminal_states import TerminalStates


def test_without_a_cell_that_is_terminal_in_neither_nothing_is_known() -> None:
    matrix = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.4, 0.6], [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]])
    transitions = checked_transitions(matrix, list("abcd"))
    structure = chain_structure(transitions)
    found = {
        name: fate_probabilities(
            transitions, structure, TerminalStates(names=("A", "B"), state=np.array(state), how="")
        )
        for name, state in (("one", [0, 1, -1, -1]), ("other", [-1, -1, 0, 1]))
    }
    table = compare_choices(found)
    assert (table["cells"] == 0).all()
    assert table[["correlation", "difference", "same_fate"]].isna().all(axis=None)
    assert table["fate"].tolist() == ["A", "B", ALL]
