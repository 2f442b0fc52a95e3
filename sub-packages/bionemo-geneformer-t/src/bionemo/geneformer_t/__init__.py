"""Geneformer-T: fine-tune Geneformer to predict the next cell of a developmental trajectory.

    import bionemo.geneformer_t as gft

    gft.prepare_data(input=("cells.h5ad",), output_dir="data/mine", time_key="day")
    gft.train_temporal_geneformer(data_dir="data/mine", output_dir="outputs/mine")

Each name is imported when it is first used, so the package itself, and `geneformer-t --help`, load
at once.
"""

from typing import TYPE_CHECKING

from bionemo.geneformer_t.lazy_names import import_when_used

if TYPE_CHECKING:  # for editors and mypy; `_HOME` has the same names
    from bionemo.geneformer_t import pl, pp, tl
    from bionemo.geneformer_t.config import BioBertConfig
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.inference.next_cell import predict_next_cells
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
    from bionemo.geneformer_t.run.evaluate import evaluate as evaluate_model
    from bionemo.geneformer_t.run.prepare import prepare as prepare_data
    from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

__version__ = "0.1.0"

__all__ = [
    "BioBertConfig",
    "TemporalGeneformerDataModule",
    "TemporalGeneformerModel",
    "evaluate_model",
    "pl",
    "pp",
    "predict_next_cells",
    "prepare_data",
    "tl",
    "train_temporal_geneformer",
]

# The commands `prepare` and `evaluate` get other names here: `prepare` and `evaluate` are packages
# of this one, and importing either would replace a function of the same name.
_HOME: dict[str, tuple[str, str | None]] = {
    "BioBertConfig": ("config", "BioBertConfig"),
    "TemporalGeneformerDataModule": ("data.temporal_datamodule", "TemporalGeneformerDataModule"),
    "TemporalGeneformerModel": ("model.temporal_model", "TemporalGeneformerModel"),
    "evaluate_model": ("run.evaluate", "evaluate"),
    "pl": ("pl", None),
    "pp": ("pp", None),
    "predict_next_cells": ("inference.next_cell", "predict_next_cells"),
    "prepare_data": ("run.prepare", "prepare"),
    "tl": ("tl", None),
    "train_temporal_geneformer": ("run.train_temporal", "train_temporal_geneformer"),
}
"""Public name -> module and name in it; None for the module itself."""

__getattr__ = import_when_used(__name__, _HOME)


def __dir__() -> list[str]:
    """What tab completion offers."""
    return [*__all__, "__version__"]
