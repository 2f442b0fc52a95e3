"""A two-dimensional map of the cells of a split, and what to colour them by.

A map that the file brings is used; otherwise a UMAP of the cells' rank profiles is computed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.data.cell_store import H5AD
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles, typical_length
from bionemo.geneformer_t.neighbors.scanpy_neighbors import scanpy_neighbors
from bionemo.geneformer_t.report.figures.style import CATEGORIES

MAPS = {
    "X_umap": "UMAP", "X_emb": "embedding of the file", "X_tsne": "t-SNE",
    "X_latent": "latent space", "X_draw_graph_fa": "graph",
}  # fmt: skip
"""Entries of obsm that are maps, and their names; the first that exists is used."""
COLORS = (
    "pseudotime", "dpt_pseudotime", "ptime", "cell_type", "celltype", "clusters", "cluster",
    "branch", "day", "time", "week",
)  # fmt: skip
"""Columns of obs worth a colour; the first that exists is used."""
_COMPONENTS = 30
_NUM_NEIGHBORS = 15
"""Of the UMAP; scanpy's default."""


@dataclass(frozen=True, kw_only=True)
class CellMap:
    """Where to draw each cell, and how."""

    coordinates: Float[ndarray, "cell 2"]
    name: str
    colors: Shaped[ndarray, " cell"] | None
    """Numbers or labels; None where the file has none of `COLORS`."""
    color_name: str


def cell_map(
    split_dir: Path,
    tokens: CellTokens,
    seed: int,
    cluster: pd.Categorical | None = None,
) -> CellMap:
    """The map of a split.

    Args:
        split_dir: Folder with data.h5ad, or an SCDL archive, which has no map of its own.
        tokens: Its cells.
        seed: For UMAP.
        cluster: Clusters to colour by, while they are few enough for as many colours; otherwise the
            first of `COLORS` that the file has.
    """
    obs, obsm = _annotations(split_dir / H5AD)
    color_name = next((name for name in COLORS if name in obs), "")
    colors = _colors(obs[color_name]) if color_name else None
    if cluster is not None and len(cluster.categories) <= len(CATEGORIES):
        colors, color_name = np.asarray(cluster.astype(object)).astype(str), "cluster"
    key = next((key for key in MAPS if key in obsm and obsm[key].shape[1] >= 2), None)
    if key is not None:
        name, coordinates = MAPS[key], np.asarray(obsm[key], dtype=np.float64)[:, :2]
    else:
        name, coordinates = _computed(tokens, seed)
    return CellMap(coordinates=coordinates, name=name, colors=colors, color_name=color_name)


def _annotations(path: Path) -> tuple[Any, Any]:
    if not path.is_file():
        return {}, {}
    import anndata

    cells = anndata.read_h5ad(path, backed="r")
    try:
        return cells.obs.copy(), {
            key: np.asarray(cells.obsm[key]) for key in MAPS if key in cells.obsm
        }
    finally:
        cells.file.close()


def _colors(column: Any) -> Shaped[ndarray, " cell"]:
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column, dtype=np.float64)
    return np.asarray(column.astype(str), dtype=np.str_)


def _computed(tokens: CellTokens, seed: int) -> tuple[str, Float[ndarray, "cell 2"]]:
    """UMAP of the leading components of the rank profiles; the components where cells are few."""
    from sklearn.decomposition import PCA

    num_ranks = typical_length(tokens.num_genes, int(tokens.num_genes.max()))
    vocab_size = int(tokens.token_of_column.max()) + 1
    encoded = (tokens.encode(cell) for cell in range(len(tokens)))
    profiles = cell_profiles(encoded, num_ranks, vocab_size).toarray()
    number = min(_COMPONENTS, *profiles.shape)
    components = PCA(number, random_state=seed).fit_transform(profiles)
    return in_two_dimensions(components, seed, _COMPONENTS)


def in_two_dimensions(
    points: Float[ndarray, "cell component"], seed: int, few: int
) -> tuple[str, Float[ndarray, "cell 2"]]:
    """A map of points, and its name: UMAP, or the first components of `few` points or less."""
    if len(points) <= few:
        return "principal components", _two_columns(points).astype(np.float64)
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(obsm={"X_pca": points})
    scanpy_neighbors(cells, "X_pca", _NUM_NEIGHBORS, seed)
    sc.tl.umap(cells, random_state=seed)
    return "UMAP", np.asarray(cells.obsm["X_umap"], dtype=np.float64)


def _two_columns(components: Float[ndarray, "cell component"]) -> Float[ndarray, "cell 2"]:
    return np.pad(components, ((0, 0), (0, 2)))[:, :2]
