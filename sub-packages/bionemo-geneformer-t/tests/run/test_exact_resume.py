"""A run that is cut short anywhere, and resumed, ends bit for bit where it would have ended.

Each variant is killed after its first saved step, in the middle and before the last one; the mark
`exhaustive` is for every step of every variant (`make exhaustive`).
"""

import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from bionemo.geneformer_t.model import products
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.stop_signals import RunStopped, StopRequest

SMALL = {
    "seq_length": 64,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_epochs": 2,
    "final_evaluation": False,
    "log_every_n_steps": 1,
    "num_workers": 0,
    "accelerator": "cpu",
    "checkpoint_every_n_steps": 1,
}
VARIANTS = {
    "each_step": {},
    "accumulated": {"micro_batch_size": 2, "global_batch_size": 8},
    "every_third_step": {"checkpoint_every_n_steps": 3},
    "validated_inside_epochs": {
        "micro_batch_size": 4, "global_batch_size": 8, "val_check_interval": 4, "save_top_k": 2,
    },
    "by_tokens": {"max_tokens_per_batch": 250, "num_epochs": 1},
    "limited_steps": {"max_steps": 7, "num_epochs": 10},
    "limited_batches": {"limit_train_batches": 3, "limit_val_batches": 1, "num_epochs": 3},
    "workers": {"num_workers": 2, "num_epochs": 1},
    "bf16": {"precision": "bf16-mixed", "num_epochs": 1},
    "bf16_accumulated": {
        "precision": "bf16-mixed", "dropout_prob": 0.1, "recompute": "layers",
        "micro_batch_size": 4, "num_epochs": 1,
    },
    "onednn": {
        "matmul_backend": "onednn", "dropout_prob": 0.1, "recompute": "feed_forward",
        "micro_batch_size": 4, "num_epochs": 1,
    },
    "fp16": {"precision": "16-mixed", "num_epochs": 1},
    "contrastive": {"contrastive_weight": 1.0, "dropout_prob": 0.1, "num_epochs": 1},
    "stops_early": {
        "early_stopping_patience": 1, "learning_rate": 0.5, "warmup_steps": 0, "num_epochs": 9,
    },
}  # fmt: skip
"""Each is a way of its own to lose count."""


class KilledError(BaseException):
    """Nothing may catch it, as nothing catches SIGKILL."""


def kill() -> None:
    raise KilledError


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_twice() -> None:
    interrupt()
    interrupt()


@contextmanager
def struck(
    blow: Callable[[], None], batch: int | None, steps: Sequence[str]
) -> Iterator[Callable[[], int]]:
    """Strike the run in the middle of a batch, counted from 0 over these steps of the model.

    Yields what says how many batches have begun.
    """
    seen = 0

    def counted(step):
        def run(self, *args):
            nonlocal seen
            seen += 1
            if seen - 1 == batch:
                blow()
            return step(self, *args)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in steps:
            original = getattr(TemporalGeneformerModel, name)
            patch.setattr(TemporalGeneformerModel, name, counted(original))
        yield lambda: seen


def train(data_dir: Path, output_dir: Path, **settings) -> Path:
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, **settings}
    )


def train_in_parts(
    data_dir: Path,
    output_dir: Path,
    blow: Callable[[], None],
    batch_of_part: Callable[[int], int | None],
    steps: Sequence[str] = ("training_step", "validation_step"),
    **settings,
) -> tuple[Path, int]:
    """Repeat one command, struck in some batch each time, until it comes to its end."""
    for part in range(200):
        try:
            with struck(blow, batch_of_part(part), steps):
                best = train(data_dir, output_dir, resume_from_checkpoint="last", **settings)
        except (KilledError, RunStopped):
            continue
        return best, part
    raise AssertionError("the run makes no progress")


def tensors(value: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    match value:
        case Tensor():
            yield name, value
        case dict():
            for key, child in value.items():
                yield from tensors(child, f"{name}/{key}")
        case list() | tuple():
            for i, child in enumerate(value):
                yield from tensors(child, f"{name}/{i}")


def assert_same_run(resumed: Path, whole: Path) -> None:
    """Everything that a run leaves behind, to the last bit."""
    files = ["metrics.csv", *(f"checkpoints/{p.name}" for p in (whole / "checkpoints").glob("s*"))]
    for name in files:
        assert (resumed / name).exists(), name
    assert (resumed / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    names = [{p.name for p in (run / "checkpoints").iterdir()} for run in (resumed, whole)]
    assert names[0] == names[1]
    for name in names[0] - {"previous.ckpt"}:
        one, other = (
            torch.load(run / "checkpoints" / name, weights_only=True) for run in (resumed, whole)
        )
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "MixedPrecision"):
            found = dict(tensors(one.get(part), part))
            expected = dict(tensors(other.get(part), part))
            assert found.keys() == expected.keys()
            for key, value in expected.items():
                assert torch.equal(found[key], value), f"{name}: {key}"
        assert one["lr_schedulers"] == other["lr_schedulers"]
        assert one["global_step"] == other["global_step"]
        assert (
            one["loops"]["fit_loop"]["epoch_progress"]
            == (other["loops"]["fit_loop"]["epoch_progress"])
        )


class WholeRun(NamedTuple):
    """A run that nothing cut short, to compare with."""

    folder: Path
    best: Path
    batches: int
    """Training batches of all its epochs."""


@pytest.fixture(scope="module")
def whole_run(tiny_data_dir_template, tmp_path_factory) -> Callable[..., WholeRun]:
    """Trains with these settings, once for all tests that ask for the same."""
    data = shutil.copytree(tiny_data_dir_template, tmp_path_factory.mktemp("whole") / "data")
    found: dict[str, WholeRun] = {}

    def run(**settings) -> WholeRun:
        key = repr(sorted(settings.items()))
        if key not in found:
            folder = tmp_path_factory.mktemp("whole") / "run"
            with struck(kill, None, ["training_step"]) as batches:
                best = train(data, folder, **settings)
            found[key] = WholeRun(folder, best, batches())
        return found[key]

    return run


NEEDS = {
    "onednn": pytest.mark.skipif(
        products.failed_trial() is not None, reason="oneDNN does not serve here"
    )
}
variants = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=NEEDS.get(name, pytest.mark.slow if name != "each_step" else ()))
        for name in VARIANTS
    ],
)


@pytest.fixture(scope="module", autouse=True)
def _small_products_go_where_large_ones_do() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "FEWEST_MULTIPLY_ADDS", 0)
        yield


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU"),
    pytest.mark.usefixtures("without_type_checks"),  # which take a third of the time here
]


@variants
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["three", "every"]
)
@pytest.mark.slow
def test_a_run_killed_in_some_steps_ends_like_one_that_was_not(
    tiny_data_dir, tmp_path, whole_run, name, every
):
    """Each part goes on from where it was last killed; with `every`, one saved step further."""
    settings = VARIANTS[name]
    micro = settings.get("micro_batch_size", 8)
    batches = settings.get("global_batch_size", 8) // micro
    saved = batches * settings.get("checkpoint_every_n_steps", 1)
    whole = whole_run(**settings)
    last = (whole.batches - 1) // saved  # saved steps that a batch follows
    places = list(range(1, last + 1)) if every else sorted({1, (1 + last) // 2, last})
    parts = np.diff(places, prepend=0) * saved
    resumed, kills = train_in_parts(
        tiny_data_dir, tmp_path / "parts", kill, dict(enumerate(parts)).get, ["training_step"],
        **settings,
    )  # fmt: skip
    assert kills == len(places) >= 3
    assert resumed.name == whole.best.name
    assert_same_run(tmp_path / "parts", whole.folder)


@pytest.mark.slow
@pytest.mark.parametrize("blow", [kill, terminate])
@pytest.mark.parametrize(
    "name",
    [
        "validated_inside_epochs",
        pytest.param("each_step", marks=pytest.mark.exhaustive),
        pytest.param("limited_steps", marks=pytest.mark.exhaustive),
    ],
)
def test_a_run_struck_anywhere_ends_like_one_that_was_not(
    tiny_data_dir, tmp_path, whole_run, name, blow
):
    """In validation too, at other batches in each part; seldom enough saved to lose some work."""
    settings = {**VARIANTS[name], "checkpoint_every_n_steps": 2}
    whole = whole_run(**settings)
    resumed, blows = train_in_parts(
        tiny_data_dir, tmp_path / "parts", blow, lambda part: 1 + part * 4 % 11, **settings
    )
    assert blows >= 2
    assert resumed.name == whole.best.name
    assert_same_run(tmp_path / "parts", whole.folder)


@pytest.mark.parametrize(("ask", "name"), [(terminate, "SIGTERM"), (interrupt, "SIGINT")])
def test_a_signal_stops_the_run_behind_the_step_it_comes_in(
    tiny_data_dir, tmp_path, caplog, ask, name
):
    settings = {"checkpoint_every_n_steps": None}
    before = signal.getsignal(getattr(signal, name))
    with struck(ask, 2, ["training_step"]), pytest.raises(RunStopped) as stopped:
        train(tiny_data_dir, tmp_path / "run", **settings)
    assert stopped.value.code == 75
    assert f"stopped by {name} after 3 optimizer steps" in str(stopped.value)
    assert "--resume_from_checkpoint last continues from here" in caplog.text
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3
    assert signal.getsignal(getattr(signal, name)) == before


def test_a_second_interrupt_does_not_wait_for_the_step():
    request = StopRequest()
    request.listen()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_twice()
    finally:
        request.ignore()
    assert request.signal is signal.SIGINT


def test_a_finished_run_is_left_as_it_is(tiny_data_dir, tmp_path):
    best = train(tiny_data_dir, tmp_path / "run", num_epochs=1)
    before = (tmp_path / "run" / "metrics.csv").read_text()
    again = train(tiny_data_dir, tmp_path / "run", num_epochs=1, resume_from_checkpoint="last")
    assert again == best
    assert (tmp_path / "run" / "metrics.csv").read_text() == before


@pytest.mark.slow
def test_a_damaged_last_checkpoint_is_skipped_for_the_one_before(
    tiny_data_dir, tmp_path, whole_run, caplog
):
    with struck(kill, 7, ["training_step"]), pytest.raises(KilledError):
        train(tiny_data_dir, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(last) as archive:
        weights = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(last.read_bytes())
    content[weights.header_offset + weights.file_size // 2] ^= 1
    last.write_bytes(content)
    train(tiny_data_dir, tmp_path / "run", resume_from_checkpoint="last")
    assert "last.ckpt is truncated or damaged" in caplog.text
    assert_same_run(tmp_path / "run", whole_run().folder)


@pytest.mark.slow
def test_tensorboard_shows_every_step_once(tiny_data_dir, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_in_parts(
        tiny_data_dir, tmp_path / "run", kill, lambda part: 3 + part, checkpoint_every_n_steps=2
    )
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("train/loss")] == list(range(10))
    assert [event.step for event in board.Scalars("val/loss")] == [4, 9]


def test_inside_an_epoch_the_batches_must_stay_as_they_were(tiny_data_dir, tmp_path):
    with struck(kill, 2, ["training_step"]), pytest.raises(KilledError):
        train(tiny_data_dir, tmp_path / "run")
    with pytest.raises(ValueError, match=r"after 2 batches of 8 cells .*this run has 4 cells"):
        train(tiny_data_dir, tmp_path / "run", resume_from_checkpoint="last", micro_batch_size=4)


@pytest.mark.slow
def test_changed_settings_are_named(tiny_data_dir, tmp_path, caplog):
    train(tiny_data_dir, tmp_path / "run", num_epochs=1)
    train(tiny_data_dir, tmp_path / "run", num_epochs=2, resume_from_checkpoint="last")
    assert "other settings than it began with: num_epochs was 1 and is 2" in caplog.text


def test_a_run_may_move_between_two_parts(tiny_data_dir, tmp_path, whole_run):
    with struck(kill, 7, ["training_step"]), pytest.raises(KilledError):
        train(tiny_data_dir, tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    best = train(tiny_data_dir, tmp_path / "moved", resume_from_checkpoint="last")
    assert best.parent == tmp_path / "moved" / "checkpoints"
    assert_same_run(tmp_path / "moved", whole_run().folder)
