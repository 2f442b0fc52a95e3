"""Small hand-made splits."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.baselines.uniform import Uniform
from bionemo.geneformer_t.evaluate.evaluation import Evaluation, evaluate
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.graph import NeighborGraph

NUM_SPECIALS = 5
VOCAB_SIZE = 25


def make_split(
    cells: list[list[int]], edges: dict[int, dict[int, float]], max_genes: int = 6
) -> CellPairs:
    weights = np.zeros((len(cells), len(cells)))
    for cell, successors in edges.items():
        for successor, weight in successors.items():
            weights[cell, successor] = weight
    graph, _ = NeighborGraph.from_matrix(sp.csr_matrix(weights))
    genes = [np.array(cell, dtype=np.int64) for cell in cells]
    return CellPairs.from_graph(
        graph,
        encode=genes.__getitem__,
        max_genes=max_genes,
        gene_ids=np.arange(NUM_SPECIALS, VOCAB_SIZE),
        vocab_size=VOCAB_SIZE,
    )


def make_random_split(seed: int = 0, copy: float = 0.0, num_cells: int = 60) -> CellPairs:
    """A chain of cells of 3 to 8 genes; each repeats the one before with probability `copy`."""
    rng = np.random.default_rng(seed)
    cells: list[list[int]] = []
    for i in range(num_cells):
        fresh = rng.permutation(np.arange(NUM_SPECIALS, VOCAB_SIZE))[: rng.integers(3, 9)]
        cells.append(cells[-1] if i and rng.random() < copy else fresh.tolist())
    return make_split(cells, {i: {i + 1: 1.0, i + 2: 0.5} for i in range(num_cells - 2)})


@pytest.fixture
def split_of() -> Callable[..., CellPairs]:
    return make_split


@pytest.fixture(scope="session")
def random_split() -> Callable[..., CellPairs]:
    return make_random_split


def fit_on(
    fit: Callable[[TrainingPairs, np.random.Generator], Predictor], pairs: CellPairs, seed: int = 0
) -> Predictor:
    generator = np.random.default_rng(seed)
    return fit(TrainingPairs.of(pairs, generator), generator)


@pytest.fixture(scope="session")
def fitted() -> Callable[..., Predictor]:
    return fit_on


@pytest.fixture(scope="session")
def scored() -> Evaluation:
    """An evaluation of guessing, for tests that put numbers of their own in it."""
    pairs = make_random_split()
    uniform = Uniform.over(pairs.gene_ids, pairs.vocab_size)
    return evaluate(uniform, pairs, pairs, np.random.default_rng(0))
