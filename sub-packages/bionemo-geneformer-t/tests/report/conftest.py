"""A real evaluation of a small chain of cells."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.evaluation import Evaluation, evaluate
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.graph import NeighborGraph

_VOCAB_SIZE = 25
_GENES = np.arange(5, _VOCAB_SIZE)


def chain_of_cells(seed: int) -> CellPairs:
    rng = np.random.default_rng(seed)
    cells = [rng.permutation(_GENES)[:6] for _ in range(40)]
    graph, _ = NeighborGraph.from_matrix(sp.eye_array(40, k=1))
    return CellPairs.from_graph(
        graph, encode=cells.__getitem__, max_genes=6, gene_ids=_GENES, vocab_size=_VOCAB_SIZE
    )


def prefer_the_last_genes(contexts, num_ranks):
    logits = np.where(np.arange(_VOCAB_SIZE) < 5, -np.inf, 0.05 * np.arange(_VOCAB_SIZE))
    log_probs = logits - np.log(np.exp(logits).sum())
    return np.broadcast_to(log_probs, (len(contexts), num_ranks, _VOCAB_SIZE))


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    found = evaluate(
        prefer_the_last_genes, chain_of_cells(1), chain_of_cells(0), np.random.default_rng(0)
    )
    return replace(found, gaps={"the simulator": Interval(mean=0.5, low=0.4, high=0.6)})
