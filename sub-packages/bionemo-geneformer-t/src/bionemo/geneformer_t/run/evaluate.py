"""`geneformer-t evaluate`: scores of a checkpoint and of baselines on one split."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from bionemo.geneformer_t.config import InferencePrecision
from bionemo.geneformer_t.report.evaluation_files import EVALUATION, SCORED
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings, require_at_least

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.evaluate.evaluation import Evaluation
    from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPredictor, Predictor, Targets
    from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel
    from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
    from bionemo.geneformer_t.progress import Progress
    from bionemo.geneformer_t.report.evaluated import Evaluated

P = ParamSpec("P")
R = TypeVar("R")

EVALUATION_TEXT = "evaluation.txt"
NEXT_CELLS = "next_cells.png"
LOSS_CURVE = "loss_curve.png"
CHOSEN_BY_VAL = (
    "The checkpoint was chosen by these cells, and its memory, where it has one, mixed by them; no "
    "baseline was: cells of test are a fairer judge."
)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(Settings):
    """What to score, and where to write the scores.

    Raises:
        ValueError: `max_cells` is negative.
    """

    checkpoint: Path
    """Checkpoint of a trained model."""
    data_dir: Path
    """Data folder; baselines are fitted on its split train."""
    split: str = "test"
    """Name of the split to score."""
    output_dir: Path | None = None
    """Folder for evaluation.json, evaluation.txt and figures; by default, nothing is written."""
    neighbor_key: str | None = None
    """Key of the graph of successors; by default the graph that the model was trained on."""
    max_cells: int = 2000
    """Largest number of current cells to score; if there are more, some are drawn, the same ones in
    every evaluation. 0 for all."""
    time_key: str | None = None
    """Column of obs with the time or pseudotime of each cell; by default the one that the graph was
    made from, or one with a common name, such as pseudotime or day."""
    cluster_key: str | None = None
    """Column of obs with the cluster of each cell; by default one with a common name, such as
    cell_type or leiden."""
    donor_key: str | None = None
    """Column of obs with the donor (or sample, or batch) of each cell, for intervals over donors;
    by default one with a common name, such as donor, patient or sample."""
    clone_key: str | None = None
    """Column of obs with the barcode of each cell's clone, or a table of obsm, cells x clones.
    Where cells go is then also compared with what became of their clone siblings, which needs
    times."""
    clone_no_fates: tuple[str, ...] = ()
    """Clusters that are no fate of a clone, such as undifferentiated cells."""
    controls: bool = False
    """Also score a model of the same sizes with random weights and, for data from `simulate`, the
    true distribution of next cells."""
    shuffled_checkpoint: Path | None = None
    """Checkpoint of a second model to score, which was trained with shuffle_successors but
    otherwise with the same settings; by default the one that `train --controls` left beside the
    checkpoint. The difference between the two models is the contribution of the graph."""
    precision: InferencePrecision = "32-true"
    """Number format of matrix products: float32 (`32-true`), or bfloat16 (`bf16-mixed`), which is
    faster on GPUs and on CPUs with avx512_bf16 or AMX, and keeps about three digits."""
    seed: int = 42
    """Random seed for the cells drawn from predictions and for the random weights of `controls`.
    Verdicts on baselines are the same for every seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "max_cells")


@command(EvaluateSettings)
def evaluate(settings: EvaluateSettings) -> "Evaluation":
    """Score a checkpoint and baselines on all genes of all successors, with every gene masked.

    Prints tables of scores with a summary, and returns the scores.
    """
    return evaluate_checkpoint(settings).evaluation


def evaluate_checkpoint(
    settings: EvaluateSettings, stores: "Mapping[str, CellStore] | None" = None
) -> "Evaluated":
    """The same, with what a report of it needs.

    Args:
        settings: What to score.
        stores: The cells of `train` and of the split, where they are open already.
    """
    import numpy as np

    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.stored_graphs import recorded_options
    from bionemo.geneformer_t.evaluate.annotations import evaluation_facts
    from bionemo.geneformer_t.evaluate.evaluation import evaluate as evaluate_predictor
    from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
    from bionemo.geneformer_t.evaluate.resampled_pairs import redrawing
    from bionemo.geneformer_t.evaluate.retrieval.retrieval import (
        RetrievalInput,
        successor_retrieval,
    )
    from bionemo.geneformer_t.evaluate.retrieval.retrieved_cells import retrieved_cells
    from bionemo.geneformer_t.evaluate.simulated_data import simulated_bounds
    from bionemo.geneformer_t.files import require_writable
    from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
    from bionemo.geneformer_t.inference.rank_distributions import model_predictor
    from bionemo.geneformer_t.model.next_cell_model import settings_of
    from bionemo.geneformer_t.progress import progress_of_steps
    from bionemo.geneformer_t.report.evaluated import Evaluated
    from bionemo.geneformer_t.report.in_sample import in_sample_words

    if settings.output_dir is not None:
        require_writable(settings.output_dir / EVALUATION)
    _check_split(settings)
    names = dict.fromkeys(["train", settings.split])
    stores = stores or {name: CellStore.open(settings.data_dir / name) for name in names}
    facts, where_from = evaluation_facts(
        stores, settings.time_key, settings.cluster_key, settings.donor_key,
        recorded_options(settings.data_dir),
    )  # fmt: skip
    clones = _clones(settings, stores[settings.split], facts[settings.split])
    model = load_model(settings.checkpoint, settings.precision)
    in_sample = in_sample_words(model, stores[settings.split], settings.split)
    if settings.split == "val":
        where_from += f"\n{CHOSEN_BY_VAL}"
    if in_sample:
        where_from = f"{in_sample}\n{where_from}"
    train, scored = (
        open_split(model, stores[name], settings.neighbor_key) for name in ("train", settings.split)
    )
    generator, pairs = np.random.default_rng(settings.seed), CellPairs.from_dataset(scored)
    if settings.max_cells:  # the same cells for every seed, or it would turn close verdicts
        pairs = pairs.draw_cells(settings.max_cells, np.random.default_rng(0))
    predictor = model_predictor(model)
    control, about_control = _shuffled(settings, model)
    where_from = f"{where_from}\n{about_control}" if about_control else where_from
    bounds: dict[str, CellPredictor] = {}
    if settings.controls:
        bounds, about = simulated_bounds(settings.data_dir, scored)
        where_from = f"{where_from}\n{about}" if about else where_from
    with progress_of_steps("scoring", "fitting baselines") as steps:
        evaluation = evaluate_predictor(
            predictor,
            pairs,
            CellPairs.from_dataset(train),
            generator,
            controls=_controls(settings, model, control),
            bounds=bounds,
            redraw=redrawing(train, settings_of(model)),
            retrieve=_as_step(
                steps,
                "successor retrieval",
                partial(
                    successor_retrieval,
                    RetrievalInput(
                        model=model,
                        shuffled=control,
                        filled=np.flatnonzero(np.asarray(scored.tokens.num_genes)),
                        graph=scored.graph,
                        facts=facts[settings.split],
                        clones=clones,
                    ),
                ),
            ),
            draw_cells=_as_step(steps, "populations", partial(retrieved_cells, model)),
            facts=facts[settings.split],
            training_facts=facts["train"],
            progress=partial(_cells_of, steps),
        )
    evaluated = Evaluated(
        checkpoint=settings.checkpoint,
        data_dir=settings.data_dir,
        split=settings.split,
        stores=stores,
        evaluation=evaluation,
        predictor=predictor,
        dataset=scored,
        pairs=pairs,
        facts=facts,
        where_from=where_from,
        is_shuffled=settings_of(model).shuffle_successors,
        mixing=None if model.memory is None else model.memory.mixing,
        seed=settings.seed,
        fingerprint=model_fingerprint(model),
        in_sample=in_sample,
        control=None if control is None else model_fingerprint(control),
        settings=_recorded(settings, scored.settings.neighbor_key),
    )
    print(as_text(evaluated))
    if settings.output_dir is not None:
        write_scores(evaluated, settings.output_dir)
        _draw(evaluated, settings.output_dir)
    return evaluated


def _cells_of(
    steps: "Progress", name: str, targets: "Iterable[Targets]", total: int
) -> "Iterable[Targets]":
    """The cells of a predictor, which is a step, shown as they pass."""
    from bionemo.geneformer_t.progress import Progress

    steps.begin(name)
    return Progress(name, total, "cell").over(targets)


def _as_step(steps: "Progress", name: str, function: Callable[P, R]) -> Callable[P, R]:
    """The function, which begins a step of this name when it is called."""

    def call(*args: P.args, **given: P.kwargs) -> R:
        steps.begin(name)
        return function(*args, **given)

    return call


def _clones(settings: EvaluateSettings, store: "CellStore", facts: "CellFacts") -> "Clones | None":
    """The clones of the split, where they were asked for.

    Raises:
        KeyError: There is no such column or table.
        ValueError: No times or clusters are known, or no clone has later cells.
    """
    import numpy as np

    from bionemo.geneformer_t.evaluate.retrieval.clone_labels import read_membership
    from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones

    if settings.clone_key is None:
        return None
    membership = read_membership(store, settings.clone_key)
    clusters = facts.labels("cluster")
    if facts.time is None or clusters is None:
        lacking = "time_key" if facts.time is None else "cluster_key"
        raise ValueError(
            f"clone_key: what becomes of a clone is told by times and clusters; give {lacking}"
        )
    unknown = sorted(set(settings.clone_no_fates) - set(clusters.tolist()))
    if unknown:
        raise ValueError(
            f"clone_no_fates: no cluster {', '.join(map(repr, unknown))}; there are: "
            f"{', '.join(map(str, np.unique(clusters)))}"
        )
    no_fates = (*settings.clone_no_fates, "nan")  # as cells without a cluster are called
    return Clones.of(membership, facts.time, clusters, no_fates, settings.max_cells)


def _recorded(settings: EvaluateSettings, neighbor_key: str) -> dict[str, Any]:
    """The settings of an evaluation, for evaluation.json; fingerprints identify the cells."""
    names = ("max_cells", "time_key", "cluster_key", "donor_key", "controls", "seed", "clone_key")
    return {
        "neighbor_key": neighbor_key,
        **{name: getattr(settings, name) for name in names},
        "clone_no_fates": list(settings.clone_no_fates),
    }


def _shuffled(
    settings: EvaluateSettings, model: "NextCellModel"
) -> "tuple[NextCellModel | None, str]":
    """The model of shuffled successors, and a note on it.

    Raises:
        ValueError: One that was named is no control for the model.
    """
    from bionemo.geneformer_t.inference.checkpoint import recorded_settings
    from bionemo.geneformer_t.inference.controls import load_shuffled
    from bionemo.geneformer_t.training.run_files import run_dir
    from bionemo.geneformer_t.training.shuffled_control import find_control, other_settings

    path = settings.shuffled_checkpoint
    if path is not None:
        control = load_shuffled(path, model)
    else:
        found = find_control(run_dir(settings.checkpoint))
        path = found.checkpoint
        if path is None:
            return None, found.note
        try:
            control = load_shuffled(path, model)
        except ValueError as error:
            return None, f"The control beside the checkpoint is not scored: {error}."
    recorded = (recorded_settings(one) for one in (settings.checkpoint, path))
    return control, other_settings(*recorded)


def _controls(
    settings: EvaluateSettings, model: "NextCellModel", shuffled: "NextCellModel | None"
) -> "dict[str, Predictor]":
    from bionemo.geneformer_t.evaluate.row_names import EXPORTED, RANDOM_WEIGHTS, SHUFFLED
    from bionemo.geneformer_t.inference.controls import random_weights
    from bionemo.geneformer_t.inference.exported_network import exported_network
    from bionemo.geneformer_t.inference.huggingface_export import left_out
    from bionemo.geneformer_t.inference.rank_distributions import model_predictor

    found: dict[str, Predictor] = {}
    if shuffled is not None:
        found[SHUFFLED] = model_predictor(shuffled)
    if left_out(model):
        found[EXPORTED] = model_predictor(exported_network(model))
    if settings.controls:
        found[RANDOM_WEIGHTS] = model_predictor(random_weights(model, settings.seed))
    return found


def as_text(evaluated: "Evaluated") -> str:
    """The verdict, the tables and a summary."""
    from bionemo.geneformer_t.evaluate.headline import Headline, graph_lesson
    from bionemo.geneformer_t.evaluate.retrieval.retrieval_text import retrieval_tables
    from bionemo.geneformer_t.evaluate.score_tables import score_tables
    from bionemo.geneformer_t.evaluate.text import summary
    from bionemo.geneformer_t.report.in_sample import IN_SAMPLE

    evaluation, shuffled, mixed = evaluated.evaluation, "", ""
    shown = [*score_tables(evaluation), *retrieval_tables(evaluation.retrieval)]
    tables = "\n\n".join(table.text() for table in shown)
    if evaluated.is_shuffled:
        shuffled = " (trained on shuffled successors: a control)"
    if evaluated.mixing is not None:
        mixed = f"\nThe model's answer is {evaluated.mixing}."
    in_sample = f" ({IN_SAMPLE})" if evaluated.in_sample else ""
    verdict = f"{Headline.of(evaluation).sentence}\n{graph_lesson(evaluation)}"  # and below again
    return (
        f"{evaluated.checkpoint}{shuffled} on {evaluated.split_dir}{in_sample}\n{verdict}\n\n"
        f"{tables}\n\n{summary(evaluation)}{mixed}\n{evaluated.where_from}\n"
    )


def _check_split(settings: EvaluateSettings) -> None:
    for name in ("train", settings.split):
        if not (settings.data_dir / name).is_dir():
            why = "baselines are fitted there" if name == "train" else "it is what is scored"
            raise FileNotFoundError(
                f"data_dir: expected a folder {name!r} in {settings.data_dir} ({why}); there is "
                "none"
            )


def write_scores(evaluated: "Evaluated", folder: Path) -> None:
    """Write evaluation.json and evaluation.txt, and print where."""
    import json

    from bionemo.geneformer_t import __version__
    from bionemo.geneformer_t.files import write_text
    from bionemo.geneformer_t.report.evaluation_files import score_values

    content = {
        "written_by": f"geneformer-t {__version__}",
        "checkpoint": str(evaluated.checkpoint),
        "data_dir": str(evaluated.data_dir),
        "split": evaluated.split,
        "in_sample": bool(evaluated.in_sample),
        SCORED: evaluated.scored.to_dict(),
        "settings": dict(evaluated.settings),
        "notes": evaluated.where_from,
        **score_values(evaluated.evaluation),
    }
    write_text(folder / EVALUATION_TEXT, as_text(evaluated))
    path = folder / EVALUATION
    write_text(path, json.dumps(content, indent=2))
    print(path)


def _draw(evaluated: "Evaluated", folder: Path) -> None:
    from bionemo.geneformer_t.report.figures.loss_curve import loss_curve
    from bionemo.geneformer_t.report.figures.next_cells import next_cells_figure
    from bionemo.geneformer_t.report.figures.style import save

    print(save(next_cells_figure(evaluated.arrows, evaluated.where), folder / NEXT_CELLS))
    if evaluated.metrics is not None:
        print(loss_curve(evaluated.metrics, folder / LOSS_CURVE))


if __name__ == "__main__":
    main(evaluate)
