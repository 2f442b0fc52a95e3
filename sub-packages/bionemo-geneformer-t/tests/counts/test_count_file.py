"""Counts on disk are those that came."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts import count_file
from bionemo.geneformer_t.counts.count_file import write_count_file


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
