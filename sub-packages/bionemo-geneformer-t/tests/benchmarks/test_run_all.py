"""`make bench` runs every script it lists, and says which of them failed."""

from pathlib import Path

import pytest
import run_all


def test_it_lists_scripts_that_are_there():
    assert all((run_all.HERE / f"{name}.py").is_file() for name in run_all.COMMANDS)


def script(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_one_that_fails_does_not_stop_the_others_but_shows_at_the_end(tmp_path, monkeypatch, capfd):
    script(tmp_path, "bad", "raise SystemExit(3)")
    script(tmp_path, "slow", "import time; time.sleep(60)")
    script(tmp_path, "good", "import sys; print('seen', sys.argv[1:])")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "LIMIT_SECONDS", 5)
    monkeypatch.setattr(run_all, "COMMANDS", {"bad": (), "slow": (), "good": ("--few",)})
    with pytest.raises(SystemExit) as ended:
        run_all.main()
    assert ended.value.code == 1
    out = capfd.readouterr().out
    assert "seen ['--few']" in out
    assert "bad: failed with exit code 3" in out
    assert "slow: stopped after 5 s" in out
    assert "good: done" in out
