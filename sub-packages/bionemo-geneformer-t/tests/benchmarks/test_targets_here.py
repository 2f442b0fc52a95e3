"""Targets are those for the processor at hand; where there is none, the table says so."""

import subprocess

import beside
import measure
import pytest
import run_all
import train_step

from bionemo.geneformer_t.model import products

ZEN_4 = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16"
XEON = "vendor_id\t: GenuineIntel\nmodel name\t: Xeon: Gold\nflags\t\t: fpu avx2 avx512f"


@pytest.fixture
def processor(monkeypatch):
    """A function that sets what the processor can do."""

    def report(*, is_amd: bool, bfloat16: bool) -> None:
        monkeypatch.setattr(products, "is_amd_with_avx512", lambda: is_amd)
        monkeypatch.setattr(train_step, "is_amd_with_avx512", lambda: is_amd)
        for module in (products, measure):
            monkeypatch.setattr(module, "lacks_bfloat16", lambda: not bfloat16)

    return report


def test_steps_have_the_targets_of_the_processor(processor) -> None:
    processor(is_amd=True, bfloat16=True)
    assert beside.targets_here(2.5, 1.4) == {"bfloat16": (2.5, ""), "float32": (1.4, "")}
    assert beside.targets_here(2.5, None)["float32"] == (None, "")
    processor(is_amd=False, bfloat16=True)
    assert beside.targets_here(2.5, 1.4) == {"bfloat16": (2.5, ""), "float32": (1.0, "")}
    assert beside.targets_here(2.5, None)["float32"] == (None, "")


def test_without_bfloat16_its_target_is_not_passed_but_named(processor) -> None:
    processor(is_amd=False, bfloat16=False)
    target, why = beside.targets_here(2.5, 1.4)["bfloat16"]
    assert target is None
    assert "no target: this processor has neither avx512_bf16 nor AMX" in why
    assert set(measure.best_rates(64, 1)) == {"float32"}


@pytest.mark.parametrize(("is_amd", "least"), [(True, 1.3 * 14), (False, 6)])
def test_the_step_as_trained_has_its_own_target_on_amd(processor, is_amd, least) -> None:
    processor(is_amd=is_amd, bfloat16=True)
    row = {"model": "default", "lengths": "typical", "pairs": 4, "trained_speedup": 10.0}
    (line,) = train_step.with_targets(row)
    assert line["target"] == measure.verdict(10.0, least)


def test_the_best_rate_is_that_of_all_libraries_in_one_run(processor) -> None:
    processor(is_amd=True, bfloat16=True)
    rates = measure.best_rates(64, 1)
    assert {"PyTorch's default", "NumPy's BLAS"} <= set(rates["float32"])
    assert ("oneDNN" in rates["float32"]) == (products.failed_trial() is None)
    assert all(rate > 0 for by_library in rates.values() for rate in by_library.values())


def test_fractions_are_of_the_fastest_library(monkeypatch) -> None:
    by_library = {"PyTorch's default": 90.0, "oneDNN": 180.0, "NumPy's BLAS": 100.0}
    monkeypatch.setattr(measure, "best_rates", lambda **_: {"float32": by_library})
    assert measure.best_float32() == (180.0, "oneDNN")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (f"{ZEN_4}\n\n{ZEN_4}\n\n", "2 x AMD EPYC (avx2, avx512f, avx512_bf16)"),
        (XEON, "1 x Xeon: Gold (avx2, avx512f)"),
    ],
)
def test_a_processor_is_named_with_its_instructions(monkeypatch, tmp_path, facts, name) -> None:
    (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(measure, "CPU_FACTS", tmp_path / "cpuinfo")
    assert measure.cpu_name() == name


def test_without_the_commit_nothing_is_compared(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["beside.py", "--commit", "0" * 40])
    beside.main()
    assert f"commit {'0' * 40} is not in this copy" in capsys.readouterr().out


def test_what_is_too_long_to_measure_is_listed(capsys, monkeypatch) -> None:
    monkeypatch.setattr(run_all, "COMMANDS", {})
    run_all.main()
    assert "prepare_memory.py --cells 1000000" in capsys.readouterr().out


def test_a_result_names_its_commit_and_whether_files_differ_from_it(tmp_path) -> None:
    assert measure.commit_of(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("one")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = measure.commit_of(tmp_path)
    assert len(commit) >= 7
    assert set(commit) <= set("0123456789abcdef")
    (tmp_path / "file").write_text("two")
    assert measure.commit_of(tmp_path) == f"{commit}+changes"
