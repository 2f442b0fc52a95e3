"""Whether scores are in-sample: of cells that the model, or its baselines, were fitted on."""

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.fingerprints import are_same_cells
from bionemo.geneformer_t.model.next_cell_model import NextCellModel

IN_SAMPLE = "in-sample"
BASELINES_SPLIT = "train"
"""The split that baselines are fitted on."""


def in_sample_words(model: NextCellModel, store: CellStore, split: str) -> str:
    """What was fitted on the cells that are scored; empty where nothing was.

    Args:
        model: Its checkpoint records a fingerprint of its training cells, or nothing.
        store: The cells that are scored.
        split: Their folder in the data folder.
    """
    trained, own = model.provenance, split == BASELINES_SPLIT
    baselines = "the baselines were fitted on these cells"
    if trained is not None and are_same_cells(
        trained.data_fingerprint, store, model.required_vocab()
    ):
        also = f", and {baselines}" if own else ""
        return (
            f"In-sample: the model was trained on these cells{also}. The scores say nothing of "
            "other cells."
        )
    if not own:
        return ""
    if trained is None:
        return f"In-sample: {baselines}; whether the model was trained on them is not recorded."
    return f"In-sample for the baselines: {baselines}, and the model was trained on others."
