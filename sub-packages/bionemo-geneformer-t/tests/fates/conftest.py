"""A small random model of next cells, with and without a kNN memory, and cells to score."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.knn_memory import KnnInterpolation, Mixing
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.successor_index import SuccessorIndex
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab


@dataclass(frozen=True)
class Scored:
    """A model, and cells as it reads them."""

    model: NextCellModel
    contexts: Ragged
    candidates: Ragged


def random_cells(rng: np.random.Generator, vocab: GeneVocab, lengths: list[int]) -> Ragged:
    """Cells of these numbers of genes."""
    return Ragged.of([rng.choice(vocab.gene_ids, n, replace=False) for n in lengths])


@pytest.fixture
def gene_vocab() -> GeneVocab:
    """Of 60 genes."""
    return GeneVocab.of_genes({f"g{i}": 1.0 for i in range(60)})


@pytest.fixture(params=["network alone", "rank bias"])
def scored(gene_vocab, request) -> Scored:
    """Random weights, with a bias by rank or without."""
    torch.manual_seed(0)
    knots = 5 if request.param == "rank bias" else 0
    model = NextCellModel(
        BioBertConfig(
            vocab_size=len(gene_vocab) + 3, hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
            initializer_range=0.4, rank_knots=knots,
        )
    )  # fmt: skip
    if model.net.cls.predictions.rank_bias is not None:
        torch.nn.init.normal_(model.net.cls.predictions.rank_bias.change)
    torch.nn.init.normal_(model.net.cls.predictions.decoder.bias)
    model.adopt(gene_vocab, PairSettings(seq_length=49))
    rng = np.random.default_rng(1)
    return Scored(
        model.eval(),
        random_cells(rng, gene_vocab, [5, 20, 40, 23, 7, 30]),
        random_cells(rng, gene_vocab, [20, 9, 3, 40, 11, 12, 1, 30]),
    )


@pytest.fixture
def memory(scored, gene_vocab) -> KnnInterpolation:
    """Of two training cells with two successors each."""
    rng = np.random.default_rng(2)
    following = random_cells(rng, gene_vocab, [25, 12, 18, 4])
    points = scored.model.context_points(random_cells(rng, gene_vocab, [15, 20])).numpy()
    return KnnInterpolation(
        index=SuccessorIndex.of(
            points, [[0, 1], [2, 3]], [[0.5, 0.5], [0.3, 0.7]], dict(enumerate(following.rows()))
        ),
        gene_ids=gene_vocab.gene_ids,
        mixing=Mixing(number=1, width=2.0, network=0.5, memory=0.4, uniform=0.1),
    )
