"""The examples of public docstrings run, one after the other, as on the pages of the API."""

import doctest
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from importlib import import_module
from pathlib import Path

import anndata
import matplotlib as mpl
import pytest
from terminal import process_restored

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.config import PairSettings

API = Path(__file__).resolve().parents[3] / "docs" / "site" / "api"
PAGES = ("data_and_training", "pp", "tl", "pl", "classes")
CHECKPOINT = "outputs/mine/checkpoints/last.ckpt"
SMALL = {
    'output_dir="data/mine"': 'output_dir="data/mine", pictures=False',
    'recipe="auto"': "hidden_size=16, num_layers=2, num_attention_heads=2, intermediate_size=32, "
    "num_epochs=1, num_workers=0, final_evaluation=False",
    "checkpoint=checkpoint": "checkpoint=checkpoint, max_cells=20",
    "evaluate(adata, model)": "evaluate(adata, model, max_cells=20)",
    # numba compiles for 16 seconds; test_pages.py runs these two
    'sc.pp.neighbors(adata, use_rep="X_geneformer_t")': "",
    "sc.tl.umap(adata)": 'adata.obsm["X_umap"] = adata.obsm["X_geneformer_t"][:, :2]',
}

pytestmark = pytest.mark.skipif(not API.is_dir(), reason="the repository's docs/ are not here")


def documented(page: str) -> Iterator[tuple[str, object]]:
    """What a page documents: functions, classes, and the members of these that it lists."""
    text = (API / f"{page}.rst").read_text(encoding="utf-8")
    (module,) = re.findall(r"currentmodule:: (\S+)", text)
    entry = r"^\.\. auto(?:function|class):: (\w+)(?:\n   :members: (.*))?"
    for name, members in re.findall(entry, text, re.MULTILINE):
        yield name, getattr(import_module(module), name)
        for member in filter(None, members.split(", ")):
            yield f"{name}.{member}", getattr(getattr(import_module(module), name), member)


def examples(page: str) -> list[str]:
    """Sources of all examples of a page, those of its text first."""
    texts = [(API / f"{page}.rst").read_text(encoding="utf-8")]
    texts += [inspect.getdoc(value) or "" for _, value in documented(page)]
    return [found.source for text in texts for found in doctest.DocTestParser().get_examples(text)]


@pytest.mark.parametrize("page", PAGES[1:4])
def test_every_function_has_an_example(page: str) -> None:
    for name, function in documented(page):
        assert ">>> " in (inspect.getdoc(function) or ""), f"gft.{page}.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_parameter_is_documented(page: str) -> None:
    for name, value in documented(page):
        if not callable(value) or hasattr(value, "settings_type"):
            continue
        section = (inspect.getdoc(value) or "").partition("Args:")[2]
        if not section and inspect.isclass(value):
            continue  # settings, whose fields have docstrings
        taken = set(inspect.signature(value).parameters) - {"self", "cls"}
        described = set(re.findall(r"^    \**(\w+): ", section, re.MULTILINE))
        if "fields" in described:
            taken -= {field.name for field in fields(PairSettings)}
        assert taken <= described, f"{name} lacks {sorted(taken - described)}"


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.filterwarnings("ignore")  # the reader's terminal, not ours
def test_examples_run(
    example_cells: anndata.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example_cells.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    namespace = {"gft": gft, "adata": example_cells.copy()}
    for source in (source for page in PAGES for source in examples(page)):
        small = reduce(lambda text, change: text.replace(*change), SMALL.items(), source)
        with process_restored():
            exec(compile(small, source, "exec"), namespace)
    assert Path(os.curdir, CHECKPOINT).is_file()
    assert "perturbation" in namespace["adata"].uns
