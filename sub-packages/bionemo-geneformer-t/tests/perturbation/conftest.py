"""A small random model, its candidates with fates, and cells to edit."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from random_axes import random_axes

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.later_candidates import all_candidates
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionChoice
from bionemo.geneformer_t.perturbation.next_step import NextStep
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import GeneVocab

GENES_READ = 23
RANKS = 12
LENGTHS = [5, 20, 40, 23, 7, 30, 20, 24]


@dataclass(frozen=True)
class Edited:
    """Cells that are edited and that are each other's candidates."""

    model: NextCellModel
    cells: Ragged
    references: Ragged
    fates: np.ndarray

    def next_step(self, model: NextCellModel | None = None) -> NextStep:
        """Five successors, without the cell itself."""
        vocab, model = self.model.required_vocab(), model or self.model
        axes = model.axes
        return NextStep(
            model,
            Candidates.of(self.cells, RANKS, vocab, [axes] if axes else []),
            all_candidates(len(self.cells), len(self.cells)),
            TransitionChoice(
                num_ranks=RANKS, temperature=4.0, num_successors=5, axes_weight=2.0 if axes else 0.0
            ),
            self.references,
            self.fates,
            excludes_own=True,
        )


@pytest.fixture(params=["restarted", "continued", "with canonical axes"])
def edited_cells(request) -> Edited:
    """Eight cells of 60 genes; the model reads 23 genes of each."""
    has_axes = request.param == "with canonical axes"
    vocab = GeneVocab.of_genes({f"g{i}": 1.0 for i in range(60)})
    torch.manual_seed(0)
    model = NextCellModel(
        BioBertConfig(
            vocab_size=len(vocab) + 3, hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
            initializer_range=0.4, position_scheme="restarted" if has_axes else request.param,
        )
    )  # fmt: skip
    torch.nn.init.normal_(model.net.cls.predictions.decoder.bias)
    model.adopt(vocab, PairSettings(seq_length=2 * GENES_READ + 3))
    model.axes = random_axes(len(vocab), GENES_READ) if has_axes else None
    rng = np.random.default_rng(1)

    def cells(lengths: list[int]) -> Ragged:
        return Ragged.of([rng.choice(vocab.gene_ids, n, replace=False) for n in lengths])

    return Edited(model.eval(), cells(LENGTHS), cells([9, 22, 15]), rng.dirichlet([1, 1, 1], 8))
