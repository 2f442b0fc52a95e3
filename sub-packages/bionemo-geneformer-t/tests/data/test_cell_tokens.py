import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.vocab import GeneVocab

WriteSplit = Callable[..., Path]


def names(tokens: CellTokens, vocab: GeneVocab, cell: int) -> list[str]:
    return vocab.decode(tokens.encode(cell).tolist())


def test_genes_are_ranked_by_count_over_median(write_split: WriteSplit, vocab: GeneVocab) -> None:
    tokens = CellTokens(CellStore.open(write_split()), vocab, PairSettings())
    # Cell 0 counts 3, 0, 1, 2 over medians 1, 2, 0.5, 4: values 3, -, 2, 0.5.
    assert names(tokens, vocab, 0) == ["g0", "g2", "g3"]
    # Cell 4 counts 6, 1, 2, 3: values 6, 0.5, 4, 0.75.
    assert names(tokens, vocab, 4) == ["g0", "g2", "g3", "g1"]
    assert len(tokens) == 5
    assert tokens.num_genes.tolist() == [3, 2, 3, 2, 4]


@pytest.mark.parametrize("at_once", [1, 4, 1 << 15])
def test_cells_are_the_same_encoded_in_blocks_of_any_size(
    write_split: WriteSplit, vocab: GeneVocab, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    tokens = CellTokens(CellStore.open(write_split()), vocab, PairSettings())
    monkeypatch.setattr("bionemo.geneformer_t.data.cell_tokens._AT_ONCE", at_once)
    rows = tokens.rows_of(np.array([4, 1, 4, 0]))
    assert [row.tolist() for row in rows] == [tokens.encode(c).tolist() for c in (4, 1, 4, 0)]


def test_without_normalising_genes_are_ranked_by_count(
    write_split: WriteSplit, vocab: GeneVocab
) -> None:
    settings = PairSettings(normalize_gene_expression=False)
    tokens = CellTokens(CellStore.open(write_split()), vocab, settings)
    assert names(tokens, vocab, 4) == ["g0", "g3", "g2", "g1"]


def test_unknown_genes_are_left_out_and_counted(write_split: WriteSplit, vocab: GeneVocab) -> None:
    store = CellStore.open(write_split(genes=["g0", "x1", "g2", "x3"]))
    tokens = CellTokens(store, vocab, PairSettings())
    assert (tokens.num_genes_known, tokens.num_genes_unknown) == (2, 2)
    assert names(tokens, vocab, 0) == ["g0", "g2"]
    assert tokens.num_genes.tolist() == [len(tokens.encode(cell)) for cell in range(5)]


def test_cells_without_a_known_gene_are_empty_and_counted(
    write_split: WriteSplit, vocab: GeneVocab, counts: Int[ndarray, "cell gene"]
) -> None:
    counts[1] = 0
    counts[3] = [0, 4, 0, 0]
    store = CellStore.open(write_split(counts, genes=["g0", "x1", "g2", "g3"]))
    tokens = CellTokens(store, vocab, PairSettings())
    assert tokens.num_empty == 2
    assert [len(tokens.encode(cell)) for cell in (1, 3)] == [0, 0]


def test_genes_are_found_by_symbol_where_the_id_is_unknown(
    write_split: WriteSplit, vocab: GeneVocab
) -> None:
    split = write_split(
        genes=["SYM0", "SYM0b", "g2", "g3"], var={"feature_id": ["?", "g1", "g2", "g3"]}
    )
    tokens = CellTokens(CellStore.open(split), vocab, PairSettings())
    assert tokens.num_genes_known == 4
    assert names(tokens, vocab, 4) == ["g0", "g2", "g3", "g1"]


def test_columns_of_one_gene_are_summed(
    write_split: WriteSplit, vocab: GeneVocab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = CellStore.open(write_split(genes=["g0", "SYM0", "g2", "g3"]))
    tokens = CellTokens(store, vocab, PairSettings())
    # Cell 1 counts 0 + 5 of g0 and 1 of g2; cell 2 counts 2 + 2 of g0 and 7 of g3 (7 / 4).
    assert names(tokens, vocab, 1) == ["g0", "g2"]
    assert names(tokens, vocab, 2) == ["g0", "g3"]
    assert "1 columns" in caplog.text
    assert tokens.num_genes.tolist() == [len(tokens.encode(cell)) for cell in range(5)]


def test_a_vocabulary_of_other_genes_is_refused(write_split: WriteSplit, vocab: GeneVocab) -> None:
    store = CellStore.open(write_split(genes=["a", "b", "c", "d"]))
    with pytest.raises(ValueError, match=r"knows none of the 4 genes.*such as a, b, c.*g0, g1, g2"):
        CellTokens(store, vocab, PairSettings())


def test_tokens_pickle_without_the_cells(write_split: WriteSplit, vocab: GeneVocab) -> None:
    store = CellStore.open(write_split(np.ones((5_000, 4))))
    tokens = CellTokens(store, vocab, PairSettings())
    content = pickle.dumps(tokens)
    assert len(content) < 3_000
    np.testing.assert_array_equal(pickle.loads(content).encode(7), tokens.encode(7))
    np.testing.assert_array_equal(pickle.loads(content).num_genes, tokens.num_genes)
