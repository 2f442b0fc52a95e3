"""The settings of `geneformer-t prepare`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings
from bionemo.geneformer_t.neighbors.builders import BUILDERS
from bionemo.geneformer_t.setting_values import POSITIONAL, require_fraction, require_positive

LEARNED = "data"
"""The `vocab` that is learned from the training cells."""
ALIASES = {"next_cell_ids": "temporal_neighbors"}
"""Graphs that are stored under a second name as well."""

NEEDS = {
    "time": "--time_key COLUMN: real time, such as D0, D6, or --time_order",
    "pseudotime": "--pseudotime_key COLUMN, or --root CELL, or --root CLUSTER --cluster_key COLUMN",
    "trajectory": "--cluster_key COLUMN, and what pseudotime needs",
    "precomputed": "--obsp_key NAME: a velocity graph, a CellRank or a moscot matrix",
    "knn": "nothing; its edges have no direction",
}
"""What each method of `BUILDERS` has to be told."""


@dataclass(frozen=True, kw_only=True)
class PrepareSettings(BuilderSettings):
    """How raw counts become a data folder.

    Raises:
        ValueError: Settings contradict each other, a number is out of range, or a method does not
            exist or lacks what it needs.
    """

    input: tuple[Path, ...] = field(metadata=POSITIONAL)
    """Raw counts: .h5ad, .zarr, .loom or 10x .h5 files, or 10x mtx folders. Several inputs are
    joined."""
    output_dir: Path
    """Folder to write, which must be new or empty."""
    method: tuple[str, ...] | None = None
    """How successors are found: one or several of time, pseudotime, trajectory, precomputed and
    knn. Each method makes one graph. If time_key is given, the default is time."""
    layer: str | None = None
    """Layer of the file with the raw counts (called counts_layer in embed); by default X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X."""
    round_counts: bool = False
    """Round expected counts, such as those of RSEM, Salmon, alevin, kallisto or STARsolo with EM,
    to the nearest whole number (halves to the even one); values below one half become 0. A note
    says how many values changed. Without this option, fractional counts are refused."""
    use_rep: str | None = None
    """Array of obsm in which neighbors are searched, such as X_pca; by default principal components
    that are fitted on the training cells."""
    num_components: int = 30
    """Number of principal components in which neighbors are searched."""
    neighbor_key: str | None = None
    """Name of the graph in neighbors.json and obsp, if there is only one method. By default
    next_cell_ids for time, and METHOD_neighbors for the other methods."""
    val_fraction: float = 0.1
    """Fraction of the cells used for validation."""
    test_fraction: float = 0.1
    """Fraction of the cells used for testing."""
    split_by: str | None = None
    """Column of obs (donor, batch, lineage or time point) whose groups are each kept within one
    split. By default, single cells are drawn, the same fraction of each time point or cluster."""
    val_groups: tuple[str, ...] | None = None
    """Groups of split_by used for validation; by default drawn at random."""
    test_groups: tuple[str, ...] | None = None
    """Groups of split_by used for testing; by default drawn at random. If split_by is time_key, a
    fraction (test_fraction) of the cells of the previous time point is added to the test split as
    current cells."""
    duplicates: Literal["keep", "drop", "move"] = "keep"
    """What to do with held-out cells whose counts are exactly those of a cell in an earlier split
    (train, val, test): keep and report them, drop them, or move them to that split."""
    vocab: str | Path = LEARNED
    """The vocabulary: computed from the training cells (`data`, works for any species),
    Geneformer's (geneformer-gc30M or geneformer-gc95M), or a file. The file can be a
    geneformer.vocab, a Geneformer token dictionary, or text with one gene per line."""
    dictionaries: Path | None = None
    """Folder with Geneformer's dictionary files. By default, the folder in the environment variable
    GENEFORMER_T_DICTIONARIES, or that of an installed geneformer package."""
    medians: Path | None = None
    """File with gene medians (JSON or pickle). By default, those of the vocabulary are used, or
    those of the training cells."""
    gene_names: Path | None = None
    """File with a dictionary from gene symbols, synonyms and old ids to Ensembl ids (JSON or
    pickle), used in addition to that of the vocabulary."""
    genome: str | None = None
    """Genome to keep if the file has several, such as a mixture of species; `all` keeps all of
    them. Without this option, such a file is refused."""
    keep_spike_ins: bool = False
    """Keep spike-ins (ERCC, SIRV) as genes; by default they are left out."""
    min_shared_genes: float = 0.5
    """If there are several inputs: smallest fraction of the genes of an input that each larger
    input must share with it. Inputs without shared genes are always refused."""
    batch_key: str | None = None
    """Column of obs with the batch of each cell, used in the graph report."""
    pictures: bool = True
    """Draw a figure of each graph and split in graph_report/."""
    min_mapped_counts: float = 0.5
    """Smallest fraction of all counts that must belong to genes of the vocabulary."""
    target_sum: float = 10_000.0
    """Total count to which each cell is scaled before gene medians are computed."""
    seed: int = 42
    """Random seed for the split."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_neighbors", "num_components", "target_sum")
        require_fraction(self, "min_mapped_counts", "min_shared_genes")
        if not self.input:
            raise ValueError("input must name at least one file")
        self._check_methods()
        self._check_split()

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods asked for."""
        return self.method if self.method else ("time",)

    @property
    def keys(self) -> dict[str, str]:
        """Each method and the name of its graph."""
        if self.neighbor_key is not None:
            return {self.methods[0]: self.neighbor_key}
        return {method: BUILDERS[method].key for method in self.methods}

    @property
    def held_out(self) -> dict[str, tuple[str, ...]]:
        """The groups named for each split."""
        named = {"val": self.val_groups, "test": self.test_groups}
        return {split: groups for split, groups in named.items() if groups}

    def _check_methods(self) -> None:
        methods = "\n".join(f"  {method:<12} needs {what}" for method, what in NEEDS.items())
        if not self.method and self.time_key is None:
            raise ValueError(
                "prepare must know how successors are found: give --time_key, or --method:\n"
                + methods
            )
        unknown = [method for method in self.methods if method not in BUILDERS]
        if unknown:
            raise ValueError(f"there is no method {', '.join(map(repr, unknown))}:\n{methods}")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"each method can be given once; got {', '.join(self.methods)}")
        if self.neighbor_key is not None and len(self.methods) > 1:
            raise ValueError(
                f"neighbor_key names a single graph; {len(self.methods)} methods have names of "
                f"their own: {', '.join(BUILDERS[method].key for method in self.methods)}"
            )
        has_order = self.pseudotime_key is not None or self.root is not None
        kernel = self.trajectory_method in {"cytotrace_kernel", "realtime_kernel"}
        lacking = {
            "time": self.time_key is None,
            "pseudotime": not has_order,
            "trajectory": self.cluster_key is None or not (has_order or kernel),
            "precomputed": self.obsp_key is None,
        }
        for method in self.methods:
            if lacking.get(method):
                raise ValueError(f"method {method!r} needs {NEEDS[method]}")

    def _check_split(self) -> None:
        if self.split_by is None:
            if self.held_out:
                names = " and ".join(f"{split}_groups" for split in self.held_out)
                raise ValueError(f"{names} need split_by, the column of obs that holds the groups")
            return
        if self.duplicates == "move":
            raise ValueError(
                "duplicates='move' would tear the groups of split_by apart; use 'drop' or 'keep'"
            )
        if self.split_by == self.time_key and not self.held_out:
            raise ValueError(
                f"split_by {self.split_by!r} is the time: name the time points to hold out with "
                "test_groups (or val_groups), or leave split_by out to have every time point in "
                "every split"
            )
