"""Geneformer-T: fine-tune Geneformer to predict the next cell of a developmental trajectory."""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_TOOLS = ("pp", "tl")


def __getattr__(name: str) -> ModuleType:
    """Import the tools when they are asked for, so that the package itself stays light."""
    if name in _TOOLS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
