"""Counts on disk are those that came, in whatever order they came."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.counts import count_file
from bionemo.geneformer_t.counts.count_file import in_row_order, write_count_file
from bionemo.geneformer_t.counts.source import CountBlock


def random_counts(num_cells: int, num_genes: int, seed: int) -> sp.csr_array:
    return sp.csr_array(
        np.random.default_rng(seed).poisson(0.4, (num_cells, num_genes)).astype(np.float32)
    )


def test_blocks_hold_the_wanted_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_file, "_ROWS", 8)
    dense = random_counts(37, 6, 0).toarray()
    dense[5] = 0
    counts = sp.csr_array(dense)
    written = write_count_file(tmp_path / "a", [counts[:20], counts[20:20], counts[20:]], 6)
    wanted = np.random.default_rng(1).random(37) < 0.4
    wanted[8:16] = False
    found = sp.vstack(list(written.blocks(wanted, "reading")))
    assert (found.toarray() == counts[wanted].toarray()).all()
    assert (written.rows(5, 6).toarray() == 0).all()
    assert (written.row_lengths == np.diff(counts.indptr)).all()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_cells=st.integers(1, 30),
    num_genes=st.integers(1, 9),
    num_values=st.integers(0, 10**9),
    seed=st.integers(0, 99),
)
def test_values_in_any_order_become_rows(
    tmp_path_factory: pytest.TempPathFactory,
    num_cells: int,
    num_genes: int,
    num_values: int,
    seed: int,
) -> None:
    counts = random_counts(num_cells, num_genes, seed)
    rng = np.random.default_rng(seed)
    tall, wide = int(rng.integers(0, num_cells)), int(rng.integers(0, num_genes))
    corners = [(0, 0), (0, wide), (tall, 0), (tall, wide)]
    ends = [(tall, wide), (tall, num_genes), (num_cells, wide), (num_cells, num_genes)]
    blocks = [
        CountBlock(counts[r:s, c:d], first_row=r, first_column=c, was_canonical=True)
        for (r, c), (s, d) in zip(corners, ends, strict=True)
    ]
    folder = tmp_path_factory.mktemp("piles") / "x"
    shuffled = [blocks[i] for i in rng.permutation(4)]
    rows = sp.vstack(list(in_row_order(shuffled, counts.shape, num_values, folder)), format="csr")
    assert (rows.toarray() == counts.toarray()).all()
    assert rows.has_sorted_indices
    assert not folder.exists()
