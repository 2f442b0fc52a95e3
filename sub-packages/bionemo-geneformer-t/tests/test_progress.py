"""A bar on a terminal; elsewhere a line after a minute and a tenth of the work, and none before."""

import io
import logging
import sys

import pytest

from bionemo.geneformer_t import progress
from bionemo.geneformer_t.progress import (
    Progress,
    can_draw_bars,
    duration,
    progress_of_steps,
    showing_progress,
)
from bionemo.geneformer_t.run.cli import main


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(caplog):
    """What is logged, by text."""
    caplog.set_level(logging.INFO, logger=progress.__name__)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_line_comes_after_a_minute_and_a_tenth_whichever_is_later(lines) -> None:
    clock = Clock()
    with Progress("perturb", 1000, "edited cell", clock=clock) as shown:
        for _ in range(500):  # a tenth of the work in 50 seconds: a minute is the later one
            clock.now += 0.5
            shown.update()
        assert lines() == [
            "perturb: 120 of 1,000 edited cells (12%) in 1 min, about 7 min left",
            "perturb: 240 of 1,000 edited cells (24%) in 2 min, about 6 min left",
            "perturb: 360 of 1,000 edited cells (36%) in 3 min, about 5 min left",
            "perturb: 480 of 1,000 edited cells (48%) in 4 min, about 4 min left",
        ]
        for _ in range(500):  # a tenth in 1,000 seconds: the tenth is the later one
            clock.now += 10
            shown.update()
    assert lines()[4] == "perturb: 580 of 1,000 edited cells (58%) in 18 min, about 57 min left"
    assert len(lines()) == 4 + 5


def test_steps_are_named(lines) -> None:
    clock = Clock()
    with Progress("scoring", unit="step", clock=clock) as shown:
        for step in ("fitting baselines", "the model", "retrieval", "populations"):
            shown.begin(step)
            clock.now += 40
    assert lines() == ["scoring: 2 steps in 1 min; now retrieval"]
    with progress_of_steps("preparing", "reading counts", 2) as shown:
        shown.begin("graphs")
    assert len(lines()) == 1


def test_short_work_says_nothing(lines) -> None:
    clock = Clock()
    with Progress("fates", 3, "fate", clock=clock) as shown:
        for _ in range(3):
            clock.now += 19
            shown.update()
    assert lines() == []


def test_the_time_left_is_by_the_pace_since_the_last_line(lines) -> None:
    clock = Clock()
    with Progress("perturb", 100, "cell", clock=clock) as shown:
        shown.update(50)  # from an interrupted run, at once
        clock.now = 60
        shown.update()
        clock.now = 160
        shown.update(10)
    assert lines()[1] == "perturb: 61 of 100 cells (61%) in 3 min, about 6 min left"  # 10 s a cell


def test_work_of_unknown_size_has_a_line_each_minute(lines) -> None:
    clock = Clock()
    blocks = Progress("checking x", unit="block", clock=clock)

    def read():
        for block in range(6):
            yield block
            clock.now += 40

    assert list(blocks.over(read())) == list(range(6))
    assert lines() == ["checking x: 3 blocks in 1 min", "checking x: 5 blocks in 3 min"]


def test_other_work_begins_anew(lines) -> None:
    clock = Clock()
    with Progress("perturb", unit="cell", clock=clock) as shown:
        shown.reset(10)
        shown.update(9)
        clock.now = 100
        shown.reset(20)
        clock.now = 159
        shown.update(9)
        assert lines() == []
        clock.now = 160
        shown.update()
    assert lines() == ["perturb: 10 of 20 cells (50%) in 1 min, about 1 min left"]


def test_one_of_several_processes_shows_it(lines) -> None:
    clock = Clock()
    with Progress("perturb", 10, "cell", is_shown=False, clock=clock) as shown:
        clock.now = 1000
        shown.update(5)
    assert lines() == []


def test_a_terminal_has_a_bar_and_no_lines(lines, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("embedding", 10, "cell", clock=clock) as shown:
        clock.now = 1000
        shown.reset(20)
        shown.update(20)
        shown._bar.refresh()
    assert "embedding" in terminal.getvalue()
    assert "20/20" in terminal.getvalue()
    assert lines() == []


def test_commands_write_lines_to_standard_error(
    tiny_data_dir, untrained_checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(progress, "LEAST_SECONDS", 0.0)
    given = ["--checkpoint", str(untrained_checkpoint), "--input", str(tiny_data_dir / "test")]
    assert main(["embed", *given, "--output", str(tmp_path / "e.h5ad")]) == 0
    said = capsys.readouterr()
    assert "embedding: 16 of 16 cells (100%) in 0 s" in said.err
    assert "embedding:" not in said.out


def test_what_a_command_shows_is_shown_once_and_not_after_it(capsys, caplog) -> None:
    caplog.set_level(logging.INFO)
    with showing_progress():
        progress.logger.info("half")
    progress.logger.info("whole")
    assert capsys.readouterr().err == "half\n"
    assert [record.getMessage() for record in caplog.records] == ["whole"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"), (12000, "3 h 20 min")],
)
def test_durations_are_short(seconds, text) -> None:
    assert duration(seconds) == text


def test_a_bar_is_drawn_on_a_terminal_and_in_a_notebook_alone() -> None:
    terminal = type("Terminal", (io.StringIO,), {"isatty": lambda _self: True})
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    assert can_draw_bars(terminal())
    assert can_draw_bars(notebook())
    assert not can_draw_bars(io.StringIO())
    assert not can_draw_bars(None)
