"""`geneformer-t embed`: embeddings of the cells and genes of an .h5ad."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.config import EmbeddingSettings, InferencePrecision
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    from bionemo.geneformer_t.counts.formats import MatrixChoice
    from bionemo.geneformer_t.inference.embedder import Embedder

H5AD = "data.h5ad"


@dataclass(frozen=True, kw_only=True)
class EmbedSettings(EmbeddingSettings):
    """What to embed, with what, and where to.

    Raises:
        ValueError: The output is no .h5ad, or a number is out of range.
    """

    checkpoint: Path
    """Checkpoint of a trained model, with its vocabulary and medians; or a folder with pretrained
    weights in Hugging Face's layout and their dictionaries."""
    input: Path
    """An .h5ad with raw counts, or a folder such as data/test."""
    output: Path
    """The .h5ad to write, a copy of the input with embeddings added. It can be the input file
    itself."""
    key_added: str = "X_geneformer_t"
    """Key of the embeddings in obsm, varm and uns."""
    counts_layer: str | None = None
    """Layer of the .h5ad with the raw counts (called layer in prepare and predict); by default
    X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X; embeddings of genes are still written for the
    genes of var."""
    round_counts: bool = False
    """Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to the nearest whole
    number; values below one half become 0. Without this option, fractional counts are refused."""
    gene_embeddings: bool = True
    """Also write embeddings of genes to varm."""
    precision: InferencePrecision = "32-true"
    """Number format of matrix products: float32 (`32-true`), or bfloat16 (`bf16-mixed`), which is
    faster on GPUs and on CPUs with avx512_bf16 or AMX, and keeps about three digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix != ".h5ad":
            raise ValueError(f"output must end in .h5ad; got {self.output}")
        require_key("key_added", self.key_added)


@command(EmbedSettings)
def embed(settings: EmbedSettings) -> Path:
    """Write a copy of an .h5ad with the embeddings of its cells in obsm and of its genes in varm.

    Counts are read and embeddings are written block by block, so memory does not grow with the
    number of cells. Cells that express no gene of the checkpoint's vocabulary get vectors of zeros,
    and their number is reported.
    """
    from bionemo.geneformer_t.counts.h5ad import h5ad_input
    from bionemo.geneformer_t.counts.row_order import row_wise
    from bionemo.geneformer_t.files import require_writable
    from bionemo.geneformer_t.inference.checkpoint import load_encoder
    from bionemo.geneformer_t.inference.embedder import Embedder

    require_writable(settings.output)
    source = input_file(settings.input)
    model = load_encoder(settings.checkpoint, settings.precision)
    with h5ad_input(source, _choice(settings)) as opened, row_wise(opened.counts) as rows:
        embedder = Embedder(model, rows, settings, with_genes=settings.gene_embeddings)
        _write(embedder, source, settings)
    found = embedder.summary()
    num_empty = embedder.reader.num_empty
    print(
        f"{rows.shape[0] - num_empty:,} cells embedded in {embedder.width:,} numbers "
        f"({settings.pooling} of hidden state {embedder.depth} of "
        f"{model.config.num_hidden_layers}); {num_empty:,} express no known gene and are "
        f"zeros; {found['genes_known']:,} of "
        f"{found['genes_known'] + found['genes_unknown']:,} genes, with "
        f"{found['counts_known']:.1%} of the counts, are known to the checkpoint"
    )
    for note in (*opened.notes, *opened.counts.notes_on_rounding, *embedder.reader.notes()):
        print(f"note: {note}")
    print(settings.output)
    return settings.output


def _choice(settings: EmbedSettings) -> "MatrixChoice":
    from bionemo.geneformer_t.counts.formats import MatrixChoice
    from bionemo.geneformer_t.counts.source import MatrixOptions

    return MatrixChoice(
        layer=settings.counts_layer,
        use_raw=settings.use_raw,
        round_counts=settings.round_counts,
        options=MatrixOptions(
            layer="--counts_layer {}", neither="leave --counts_layer and --use_raw out"
        ),
    )


def _write(embedder: "Embedder", source: Path, settings: EmbedSettings) -> None:
    from bionemo.geneformer_t.counts.data_frames import read_index
    from bionemo.geneformer_t.counts.update_h5ad import add_array, add_value, updated_copy
    from bionemo.geneformer_t.progress import Progress
    from bionemo.geneformer_t.tl.embeddings import INPUT_TABLE

    key, table = settings.key_added, settings.key_added + INPUT_TABLE
    shape = embedder.reader.source.shape[0], embedder.width
    replaced = {"obsm": (key,), "varm": (key, table), "uns": (key,)}
    with (
        updated_copy(source, settings.output, replaced) as file,
        Progress("embedding", shape[0], "cell") as bar,
    ):
        array = add_array(file, "obsm", key, shape)
        for block in embedder.blocks(bar.update):
            array[block.first_row : block.first_row + len(block.embeddings)] = block.embeddings
            file.check()
        if settings.gene_embeddings:
            genes = embedder.gene_embeddings_of(read_index(file, "var", str(source)))
            for name, values in zip((key, table), genes, strict=True):
                add_value(file, "varm", name, values)
        add_value(file, "uns", key, embedder.summary())


def input_file(path: Path) -> Path:
    """The .h5ad that a path names: itself, or data.h5ad in a folder.

    Raises:
        FileNotFoundError: There is neither.
    """
    file = path / H5AD if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"input: expected an .h5ad file, or a folder with {H5AD}, at {path}; there is neither"
        )
    return file


if __name__ == "__main__":
    main(embed)
