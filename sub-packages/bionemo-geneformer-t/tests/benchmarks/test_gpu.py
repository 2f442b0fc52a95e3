"""The GPU's benchmark does its work on any device, and says why it does nothing without a GPU."""

import json

import gpu
import measure
import pytest
import torch


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_ends(capsys, results):
    gpu.main([])
    assert "finds no NVIDIA GPU" in capsys.readouterr().out
    assert not results.exists()


@pytest.mark.slow
def test_on_a_cpu_it_measures_every_step_that_can_run(capsys, results):
    gpu.main(["--device", "cpu", "--tiny"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not results.exists()  # a toy's figures are no results
    assert result["matmul_peak_tflops"] > 0
    ran = [row for row in result["rows"] if "failed" not in row]
    per_kind = ["ours, auto", "ours, per_cell", "ours, padded", "oracle, sdpa"]
    assert [row["step"] for row in ran] == 2 * per_kind
    for row in ran:
        assert row["pairs_per_s"] > 0
        assert 0 < row["fraction_of_peak"] < 1
    refused = [row["failed"] for row in result["rows"] if "failed" in row]
    assert len(refused) == 2 * 2
    assert all("cannot be used here" in reason for reason in refused)


def test_a_figure_stands_beside_its_target():
    assert measure.verdict(5.2, 5) == ">=5 pass"
    assert measure.verdict(4.9, 5) == ">=5 MISS"
    assert measure.verdict(0.2, 1 / 6, at_least=False) == "<=0.167 MISS"
    assert measure.verdict(1, None) == "-"
