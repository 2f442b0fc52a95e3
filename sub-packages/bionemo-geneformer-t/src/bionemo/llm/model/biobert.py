"""The specification's import path for the model configuration.

The class lives in `bionemo.geneformer_t.config`: NVIDIA's `bionemo-llm` ships `bionemo/llm` as a
regular package and hides this file when both are installed.
"""

from bionemo.geneformer_t.config import BioBertConfig

__all__ = ["BioBertConfig"]
