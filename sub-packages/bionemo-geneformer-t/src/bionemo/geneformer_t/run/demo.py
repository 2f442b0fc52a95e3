"""`geneformer-t demo`: simulate, train, evaluate and draw, in minutes.

Finished steps are kept: a second run with the same settings prints the result again.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings, require_positive
from bionemo.geneformer_t.training.run_lock import LEASE, LOCK, owned

if TYPE_CHECKING:
    from bionemo.geneformer_t.report.fate_section import FateResults

RECORD = "demo.json"
DATA, MODEL, CELL_FATES = "data", "model", "fates.h5ad"
TERMINAL = ("B", "A1", "A2")
"""The branches of the simulated tree that do not fork."""


@dataclass(frozen=True, kw_only=True)
class DemoSettings(Settings):
    """A demonstration that takes minutes on two cores.

    Raises:
        ValueError: A number is not positive.
    """

    output_dir: Path = Path("outputs/demo")
    """Folder for the data, the model, the scores and the figures."""
    fresh: bool = False
    """Start from the beginning, and remove the results of an earlier demo."""
    num_cells: int = 3000
    """Number of cells to simulate."""
    num_epochs: int = 4
    """Number of passes over the training cells."""
    hidden_size: int = 128
    """Width of the model."""
    num_layers: int = 2
    """Number of transformer layers."""
    seq_length: int = 256
    """Number of tokens of a pair of cells; with the default, each cell keeps its 126 top-ranked
    genes."""
    learning_rate: float = 1e-3
    """Peak learning rate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            self, "num_cells", "num_epochs", "hidden_size", "num_layers", "learning_rate"
        )


@command(DemoSettings)
def demo(settings: DemoSettings) -> Path:
    """Simulate a branching differentiation, train a small model, and score and draw the results.

    The printed table shows the scores of the model and of baselines on cells that were not used for
    training. Returns the output folder.
    """
    with owned(settings.output_dir):
        return _demo(settings)


def _demo(settings: DemoSettings) -> Path:
    from bionemo.geneformer_t.run.evaluate import (
        EVALUATION_TEXT,
        EvaluateSettings,
        evaluate_checkpoint,
    )
    from bionemo.geneformer_t.run.report import write_report

    folder = settings.output_dir
    made_from = _made_from(settings)
    if settings.fresh or _record(folder).get("made_from", made_from) != made_from:
        _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = _record(folder)
    if record.get("evaluated"):
        print(f"the demo in {folder} is finished; this is its result (--fresh runs it again):\n")
        print((folder / EVALUATION_TEXT).read_text(encoding="utf-8"))
    else:
        _write_record(folder, {**record, "made_from": made_from})
        checkpoint = _train(settings)
        fates = _fates(settings, checkpoint)
        print("\n4/4 evaluating on the test cells, with baselines fitted on the training cells\n")
        evaluated = evaluate_checkpoint(
            EvaluateSettings(
                checkpoint=checkpoint, data_dir=folder / DATA, output_dir=folder, controls=True
            )
        )
        write_report(evaluated, folder, fates=fates)
        _write_record(folder, {**_record(folder), "evaluated": True})
    print(_where_things_are(folder))
    return folder


def _train(settings: DemoSettings) -> Path:
    """The checkpoint of the demo's model, which is trained unless it exists."""
    from bionemo.geneformer_t.run.simulate import simulate
    from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

    folder = settings.output_dir
    print("1/4 simulating a branching differentiation with known successors")
    simulate(output_dir=folder / DATA, num_cells=settings.num_cells)
    record = _record(folder)
    if "checkpoint" in record and (folder / record["checkpoint"]).is_file():
        print(f"2/4 the model in {folder / MODEL} is already trained")
        return folder / str(record["checkpoint"])
    print(
        f"\n2/4 training a small model for {settings.num_epochs} epochs, and the same on shuffled "
        "successors, as a control"
    )
    shutil.rmtree(folder / MODEL, ignore_errors=True)  # of a demo that was interrupted
    checkpoint = train_temporal_geneformer(
        data_dir=folder / DATA, output_dir=folder / MODEL, **_training(settings)
    )
    place = str(checkpoint.resolve().relative_to(folder.resolve()))
    _write_record(folder, {**record, "checkpoint": place})
    return checkpoint


def _fates(settings: DemoSettings, checkpoint: Path) -> "FateResults":
    """Where the test cells go, and the genes that go with it; written beside the scores."""
    import anndata

    from bionemo.geneformer_t import tl
    from bionemo.geneformer_t.data.folder import TEST
    from bionemo.geneformer_t.files import whole_file
    from bionemo.geneformer_t.run.fates_drawn import fate_results

    print(
        "\n3/4 following the test cells to their fates, and looking for the genes that drive them"
    )
    cells = anndata.read_h5ad(settings.output_dir / DATA / TEST / "data.h5ad")
    tl.transitions(cells, checkpoint)
    tl.fates(cells, list(TERMINAL), cluster_key="branch")
    tl.drivers(cells, cluster_key="branch")
    with whole_file(settings.output_dir / CELL_FATES) as part:
        cells.write_h5ad(part)
    return fate_results(cells)


def _training(settings: DemoSettings) -> dict[str, Any]:
    """Settings of the demo: the recipe for small data, with all genes of the next cell scored.

    Scored genes do not attend to each other, so this takes nothing from the context, and for cells
    with few genes it costs little. `val/loss` is without the memory; the table includes it.
    """
    return {
        "recipe": "small",
        "seq_length": settings.seq_length,
        "hidden_size": settings.hidden_size,
        "num_layers": settings.num_layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * settings.hidden_size,
        "mask_prob": 1.0,
        "micro_batch_size": 32,
        "learning_rate": settings.learning_rate,
        "num_epochs": settings.num_epochs,
        "max_steps": -1,
        "controls": True,
        "num_workers": 1,
        "final_evaluation": False,  # all test cells are scored after the training
    }


def _made_from(settings: DemoSettings) -> dict[str, Any]:
    """Everything that determines the result."""
    import bionemo.geneformer_t as package

    own = {name: value for name, value in asdict(settings).items() if name not in _NOT_INPUT}
    return {**own, "training": _training(settings), "version": package.__version__}


_NOT_INPUT = ("output_dir", "fresh")


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    write_text(folder / RECORD, json.dumps(record, indent=2))


def _clear(folder: Path) -> None:
    """Remove an earlier demo, but nothing that another command wrote.

    Raises:
        FileExistsError: The folder has other content.
    """
    if not folder.exists() or {path.name for path in folder.iterdir()} <= {LOCK, LEASE}:
        return
    if not (folder / RECORD).is_file():
        raise FileExistsError(
            f"output_dir {folder} has files of no demo (there is no {RECORD}); choose "
            "another folder, or empty this one"
        )
    print(f"removing the earlier demo in {folder}")
    for name in (DATA, MODEL):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / CELL_FATES).unlink(missing_ok=True)
    (folder / RECORD).unlink()


def _where_things_are(folder: Path) -> str:
    from bionemo.geneformer_t.report.evaluation_files import EVALUATION
    from bionemo.geneformer_t.run.evaluate import LOSS_CURVE, NEXT_CELLS
    from bionemo.geneformer_t.run.report import REPORT

    lines = {
        REPORT: "the report: open it in a browser",
        NEXT_CELLS: "true and predicted successors of the test cells",
        LOSS_CURVE: "training and validation loss",
        EVALUATION: "the scores",
        CELL_FATES: "the test cells with their transitions, fates and driver genes",
        f"{MODEL}/": "the model: config.yaml, metrics.csv, checkpoints/",
        f"{DATA}/": "the simulated cells",
    }
    return "\n".join(f"{folder / name!s:<40} {what}" for name, what in lines.items())


if __name__ == "__main__":
    main(demo)
