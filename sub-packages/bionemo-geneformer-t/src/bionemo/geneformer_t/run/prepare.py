"""`geneformer-t prepare`: from an .h5ad of raw counts to a data folder to train on.

The order of the steps is what keeps the splits apart: cells are split first; genes, medians and
PCA axes are learned from the training cells; graphs are built inside each split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.run.command import POSITIONAL, command, main

if TYPE_CHECKING:
    import anndata
    from jaxtyping import Float, Shaped
    from numpy import ndarray

    from bionemo.geneformer_t.run.gene_table import GeneTable
    from bionemo.geneformer_t.vocab import GeneVocab


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How raw counts become a data folder."""

    input: Path = field(metadata=POSITIONAL)
    """An .h5ad file with raw counts."""
    output_dir: Path
    """Folder to write; new or empty."""
    time_key: str
    """Column of obs with each cell's time: D6, E7.75, 16 weeks, or numbers."""
    time_order: tuple[str, ...] | None = None
    """The time labels from early to late, where they cannot be read as numbers."""
    layer: str | None = None
    """Layer that holds the raw counts; X by default."""
    use_raw: bool = False
    """Take counts and genes from `raw`."""
    neighbor_key: str = "next_cell_ids"
    """Name of the graph in neighbors.json and obsp."""
    num_neighbors: int = 5
    """Successors of each cell."""
    val_fraction: float = 0.1
    """Share of the cells to validate on, of every time point."""
    test_fraction: float = 0.1
    """Share of the cells to test on, of every time point."""
    vocab: Path | None = None
    """Vocabulary to use: geneformer.vocab, a Geneformer token dictionary, or one gene a line; by
    default it is learned from the training cells."""
    medians: Path | None = None
    """Gene medians to use (JSON or pickle); by default those of the training cells."""
    gene_names: Path | None = None
    """Dictionary of gene symbols to Ensembl ids (JSON or pickle)."""
    min_mapped_counts: float = 0.5
    """Least share of all counts that must be on genes of the vocabulary."""
    num_components: int = 30
    """Principal components in which neighbors are found."""
    target_sum: float = 10_000.0
    """Total to which cells are scaled for the medians."""
    seed: int = 42
    """Decides the split."""

    def __post_init__(self) -> None:
        for name in ("num_neighbors", "num_components", "target_sum"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")
        if not 0 <= self.min_mapped_counts <= 1:
            raise ValueError(f"min_mapped_counts must lie in [0, 1]; got {self.min_mapped_counts}")


@command(PrepareSettings)
def prepare(settings: PrepareSettings) -> Path:
    """Turn an .h5ad of raw counts into a data folder: split, genes, medians, successors."""
    from bionemo.geneformer_t.neighbors.splits import split_fractions
    from bionemo.geneformer_t.run import data_folder, prepare_report
    from bionemo.geneformer_t.run.gene_table import merge_genes, resolve_genes
    from bionemo.geneformer_t.run.input_counts import read_counts

    fractions = split_fractions(settings.val_fraction, settings.test_fraction)
    cells = read_counts(settings.input, layer=settings.layer, use_raw=settings.use_raw)
    record = {"command": "prepare", "settings": _record(settings), "input": content_hash(cells)}
    if data_folder.is_done(settings.output_dir, record):
        print(f"{settings.output_dir} was already prepared from {settings.input}")
        return settings.output_dir
    cells, times, left_out = usable_cells(cells, settings)
    table = resolve_genes(cells.var, _gene_names(settings))
    cells = merge_genes(cells, table)
    split = _split(times, fractions, settings.seed)
    vocab, notes = _vocab(cells[split == "train"].X, table, settings)
    mapped_share = check_mapped(cells, table, vocab, settings)
    contents = build_splits(cells, times, split, settings)
    path = data_folder.write_data_folder(settings.output_dir, contents, vocab, record)
    print(
        prepare_report.text(
            settings, cells, times, table, vocab, contents, mapped_share, left_out, notes
        )
    )
    return path


def usable_cells(
    cells: "anndata.AnnData", settings: PrepareSettings
) -> "tuple[anndata.AnnData, Float[ndarray, ' cell'], dict[str, int]]":
    """The cells with a time and with counts, their times, and how many were left out and why.

    Raises:
        KeyError: No such column of obs.
        ValueError: The times cannot be read, or no cell is left.
    """
    import numpy as np

    from bionemo.geneformer_t.neighbors.times import time_values

    if settings.time_key not in cells.obs:
        raise KeyError(
            f"time_key: {settings.input} has no column {settings.time_key!r} in obs; it has: "
            f"{', '.join(cells.obs.columns) or 'none'}"
        )
    times = time_values(list(cells.obs[settings.time_key]), settings.time_order)
    timed = np.isfinite(times)
    expressed = np.asarray(cells.X.sum(axis=1)).ravel() > 0
    left_out = {
        f"without a time in obs[{settings.time_key!r}]": int((~timed).sum()),
        "without any count": int((timed & ~expressed).sum()),
    }
    kept = timed & expressed
    if not kept.any():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
        raise ValueError(f"{settings.input}: no cell is left to prepare: {reasons}")
    return cells[kept].copy(), times[kept], left_out


def check_mapped(
    cells: "anndata.AnnData", table: "GeneTable", vocab: "GeneVocab", settings: PrepareSettings
) -> float:
    """The share of all counts that are on genes of the vocabulary.

    Raises:
        ValueError: It is less than `min_mapped_counts`.
    """
    import numpy as np

    per_gene = np.asarray(cells.X.sum(axis=0), dtype=np.float64).ravel()
    known = vocab.encode(table.names) >= 0
    share = float(per_gene[known].sum() / per_gene.sum())
    if share < settings.min_mapped_counts:
        columns = np.flatnonzero(~known)
        strongest = columns[np.argsort(-per_gene[columns], kind="stable")[:5]]
        unknown = [table.names[i] for i in strongest]
        advice = (
            "give the dictionary from these names to Ensembl ids as gene_names"
            if settings.gene_names is None
            else f"does {settings.gene_names} belong to this species?"
        )
        raise ValueError(
            f"only {share:.1%} of the counts are on genes of the vocabulary ({known.sum():,} of "
            f"{len(known):,} genes); at least {settings.min_mapped_counts:.0%} must be. Unknown "
            f"genes with most counts: {', '.join(unknown)}. The vocabulary names genes like "
            f"{', '.join(vocab.genes[:3])}: {advice}, leave vocab out to learn one from these "
            "data, or lower min_mapped_counts"
        )
    return share


def build_splits(
    cells: "anndata.AnnData",
    times: "Float[ndarray, ' cell']",
    split: "Shaped[ndarray, ' cell']",
    settings: PrepareSettings,
) -> dict[str, Any]:
    """The cells and the graph of each split; `obsm["X_pca"]` has its axes from training cells."""
    import numpy as np

    from bionemo.geneformer_t.neighbors.representation import expression_pca
    from bionemo.geneformer_t.neighbors.time_neighbors import time_neighbors
    from bionemo.geneformer_t.run.data_folder import SplitContent

    points = expression_pca(cells.X, split == "train", settings.num_components)
    contents = {}
    for name in [name for name in ("train", "val", "test") if (split == name).any()]:
        rows = np.flatnonzero(split == name)
        members = cells[rows].copy()
        members.obsp.clear()  # graphs of the input were made across splits
        members.obsm["X_pca"] = points[rows]
        members.uns[settings.neighbor_key] = {
            "params": {
                "method": "time",
                "time_key": settings.time_key,
                "num_neighbors": settings.num_neighbors,
                "num_components": points.shape[1],
            }
        }
        graph, _ = time_neighbors(points[rows], times[rows], settings.num_neighbors)
        contents[name] = SplitContent(cells=members, graphs={settings.neighbor_key: graph})
    return contents


def content_hash(cells: "anndata.AnnData") -> str:
    """A fingerprint of the counts, the names of cells and genes, and obs."""
    import hashlib

    import pandas as pd

    digest = hashlib.sha256()
    for part in (cells.X.indptr, cells.X.indices, cells.X.data):
        digest.update(part.tobytes())
    for frame in (cells.obs, cells.var):
        digest.update(pd.util.hash_pandas_object(frame.astype(str)).to_numpy().tobytes())
    return digest.hexdigest()


def _split(
    times: "Float[ndarray, ' cell']", fractions: Mapping[str, float], seed: int
) -> "Shaped[ndarray, ' cell']":
    import numpy as np

    from bionemo.geneformer_t.neighbors.splits import split_by_cell

    return split_by_cell(len(times), fractions, np.random.default_rng(seed), groups=times)


def _gene_names(settings: PrepareSettings) -> dict[str, str] | None:
    """The dictionary given, and after it the symbols of the vocabulary given."""
    from bionemo.geneformer_t.dictionaries import read_dictionary
    from bionemo.geneformer_t.vocab import read_tokens

    symbols = read_tokens(settings.vocab)[1] if settings.vocab else {}
    if settings.gene_names is None:
        return symbols or None
    given = read_dictionary(settings.gene_names)
    odd = next((symbol for symbol, gene in given.items() if not isinstance(gene, str)), None)
    if odd is not None:
        raise ValueError(
            f"{settings.gene_names} must map gene symbols to gene ids; it maps {odd!r} to "
            f"{given[odd]!r}"
        )
    return {**symbols, **given}


def _vocab(
    train_counts: Any, table: "GeneTable", settings: PrepareSettings
) -> "tuple[GeneVocab, list[str]]":
    """The vocabulary of the folder, and notes on what had to be completed."""
    from bionemo.geneformer_t.dictionaries import read_dictionary
    from bionemo.geneformer_t.run.vocabulary import learn_vocab, vocab_from_file

    if settings.vocab is not None:
        return vocab_from_file(
            settings.vocab,
            settings.medians,
            train_counts,
            table.names,
            target_sum=settings.target_sum,
            gene_to_ens=table.symbols,
        )
    vocab = learn_vocab(
        train_counts,
        table.names,
        target_sum=settings.target_sum,
        gene_to_ens=table.symbols,
        known=table.is_mapped.tolist(),
        medians=None if settings.medians is None else read_dictionary(settings.medians),
    )
    return vocab, []


def _record(settings: PrepareSettings) -> dict[str, Any]:
    """The settings that shape the folder; the input counts by its content."""
    values = asdict(settings)
    return {name: values[name] for name in values if name not in {"input", "output_dir"}}


if __name__ == "__main__":
    main(prepare)
