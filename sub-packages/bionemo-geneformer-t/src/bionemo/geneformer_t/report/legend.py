"""What the rows of the tables and pictures are, in a sentence each, for the page itself."""

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.row_names import (
    EXPORTED,
    RANDOM_WEIGHTS,
    SHUFFLED,
    SIMILAR,
    SIMULATOR,
)
from bionemo.geneformer_t.evaluate.scores.population_reference import (
    NO_CHANGE,
    RETRIEVED,
    SAME_TIMES,
    SPLIT_IN_TWO,
    TRAINING_CELLS,
)

ROWS = {
    "copying the current cell": (
        "persistence: the next cell is the current cell again, whatever it is"
    ),
    "the current cell mixed with gene frequencies": (
        "persistence as far as it helps, else what next cells of the training have at each rank"
    ),
    SIMILAR: (
        "a look-up without a network: the training cells most similar to the current cell are "
        "found, and the genes of their successors are counted at each rank"
    ),
    "successors of similar cells, drawn anew": (
        "the same look-up, whose successors were drawn anew as in the training of the model"
    ),
    "the mean change": "every cell changes as the average training cell does",
    "ridge regression": "a linear model from the current cell to the next one",
    "gene frequencies at each rank": (
        "what next cells of the training have at each rank; the current cell is ignored"
    ),
    "guessing among all genes": "the same probability for every gene",
    RANDOM_WEIGHTS: "the same network before training: a control",
    SHUFFLED: (
        "the same network trained on successors that were permuted among the current cells: a "
        "control, which knows what next cells look like but not which follows which"
    ),
    EXPORTED: (
        "what geneformer-t export writes: the same network without its memory, and with one bias "
        "for all ranks"
    ),
    SIMULATOR: "the best that is possible on simulated cells",
    RETRIEVED: (
        "training cells drawn by the model's transitions, where its own row has genes drawn rank "
        "by rank, which make no coherent cell"
    ),
    SPLIT_IN_TWO: (
        "true next cells against other true next cells: no prediction can be expected to be closer"
    ),
    NO_CHANGE: "the current cells as they are, as if no time had passed",
    TRAINING_CELLS: "cells of the training split, whatever the current cells are",
    SAME_TIMES: (
        "cells of the training split from the times of the true next cells, whatever the current "
        "cells are"
    ),
}
"""Row -> what it is."""


def legend(evaluation: Evaluation) -> dict[str, str]:
    """The rows of an evaluation that need words, in the order of the tables, and what they are."""
    names = [*evaluation.rows, *evaluation.populations.marks]
    return {name: ROWS[name] for name in dict.fromkeys(names) if name in ROWS}
