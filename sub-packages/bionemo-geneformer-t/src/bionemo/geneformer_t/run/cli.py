"""`geneformer-t COMMAND ...`: the table of commands.

The module of a command is only imported when the command runs, so that `--help` is instant.
"""

import gc
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.run.arguments import did_you_mean
from bionemo.geneformer_t.run.command import ending_unread
from bionemo.geneformer_t.run.command import main as run

COMMANDS = {
    "demo": (
        "demo",
        "demo",
        "simulate cells, train on them, evaluate and draw the results, in minutes",
    ),
    "simulate": ("simulate", "simulate", "simulate a differentiation and write a data folder"),
    "prepare": ("prepare", "prepare", "make a data folder from raw counts"),
    "graph": ("graph", "graph", "report on the quality of the graphs in a data folder"),
    "train": ("train_temporal", "train_temporal_geneformer", "train a model on a data folder"),
    "predict": ("predict", "predict", "predict the next cell of every cell"),
    "evaluate": ("evaluate", "evaluate", "score a checkpoint and baselines"),
    "report": ("report", "report", "score a checkpoint and write a report in one HTML file"),
    "fates": ("fates", "fates", "add the fates of cells to an .h5ad with transitions"),
    "embed": ("embed", "embed", "add embeddings of cells and genes to an .h5ad"),
    "transitions": (
        "transitions",
        "transitions",
        "write which cells each cell goes to, as a sparse matrix",
    ),
    "rollout": ("rollout", "rollout", "walk over real cells by their transitions, and count them"),
    "sample": ("sample", "sample", "draw real next cells of each cell, with their counts"),
    "drivers": ("drivers", "drivers", "find the genes that go with each fate"),
    "perturb": ("perturb", "perturb", "find the genes whose edits change where cells go"),
    "export": ("export", "export", "write a checkpoint for transformers and Geneformer's tools"),
    "doctor": ("doctor", "doctor", "check a checkpoint, a data folder, or whether they match"),
}
"""Name -> (module, function, one line)."""
_TRAINING = {"demo", "train"}
_OBJECTS = 5_000
"""Objects that a command makes before the next search for unused ones. Importing PyTorch and others
makes a million that stay: searching as often as Python does takes a tenth of the start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its result may have an `exit_code`."""
    with ending_unread():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_overview())
        return 0
    if arguments[0] == "--version":
        print(f"geneformer-t {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        meant = did_you_mean([name], COMMANDS)
        print(f"geneformer-t: no command {name!r}{meant}\n\n{_overview()}", file=sys.stderr)
        return 2
    if name == "train":  # a long run logs its progress, also into a file
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    if name not in _TRAINING:  # which make graphs of tensors, whose memory is wanted back soon
        gc.set_threshold(_OBJECTS)
    module, function, _ = COMMANDS[name]
    result = run(
        getattr(import_module(f"bionemo.geneformer_t.run.{module}"), function),
        rest,
        prog=f"geneformer-t {name}",
    )
    return int(getattr(result, "exit_code", 0))


def _overview() -> str:
    lines = [f"  {name:<13}{text}" for name, (_, _, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: geneformer-t COMMAND ...",
            "",
            "Predict the next cell of a developmental trajectory.",
            "",
            *lines,
            "",
            "geneformer-t COMMAND --help lists the settings of a command; geneformer-t --version "
            "shows the version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
