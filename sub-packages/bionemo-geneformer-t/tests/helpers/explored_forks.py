"""The chain of `two_forks` as a report's map, with names that try to be markup."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pages import HOSTILE
from two_forks import two_forks

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.explore.explorable import Explorable
from bionemo.geneformer_t.report.fate_section import FateResults
from bionemo.geneformer_t.report.figures.cell_map import CellMap

ENDING = f"</script>{HOSTILE}<!-- \u2028 {{ }}"
"""A name that would end the element which holds it."""
NUM_RANKS, NUM_GENES, FIRST_GENE = 4, 6, 5
"""Tokens below `FIRST_GENE` are special."""
TOKENS = [f"special{i}" for i in range(FIRST_GENE)] + [f"ENSG{i}" for i in range(NUM_GENES)]
NAMES = [*TOKENS[:FIRST_GENE], "Alp", "Bet", ENDING, "Twin", "Twin", "ENSG5"]
CELLS = [*[f"cell{i}" for i in range(39)], ENDING]


def genes_of(cell: int) -> np.ndarray:
    """A gene that every cell has first, one of its half of the cells, and two of its own."""
    return FIRST_GENE + np.array([0, 1 + cell // 20, 3 + cell % 2, 5])


def explored_forks() -> Explorable:
    """40 cells; the last of each branch is no current cell."""
    cells = two_forks()
    cells.obs_names = CELLS
    places = np.asarray(cells.obsm["X_umap"], dtype=np.float64)
    chain = sp.csr_array(cells.obsp["T_geneformer_t"])
    current = np.flatnonzero(chain.diagonal() < 1)
    expected = np.zeros((len(current), len(TOKENS)), dtype=np.float16)
    expected[:, FIRST_GENE] = 0.25
    expected[:, FIRST_GENE + 1] = 0.875
    ends = chain[current] @ places
    cluster = pd.Categorical(cells.obs["cluster"]).rename_categories({"up": ENDING})
    return Explorable(
        names=CELLS,
        where=CellMap(coordinates=places, name="UMAP", colors=None, color_name=""),
        arrows=Arrows(
            cells=current, true_ends=ends, predicted_ends=ends + 0.5, cosine=1.0,
            expected=expected, num_ranks=NUM_RANKS,
        ),
        encode=genes_of,
        facts=CellFacts(time=np.arange(40.0), cluster=cluster),
        gene_ids=np.arange(FIRST_GENE, FIRST_GENE + NUM_GENES),
        gene_names=NAMES,
        tokens=TOKENS,
        named=[FIRST_GENE + 2],
        fates=FateResults(
            fates=cells.obsm["fates"].rename(columns={"B": ENDING}),
            coordinates=places,
            map_name="UMAP",
            transitions=chain,
        ),
        time_labels={0.0: ENDING, 1.0: "E1"},
    )  # fmt: skip
