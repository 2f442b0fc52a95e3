"""Every page of docs/ runs from top to bottom, as a reader would follow it.

A page starts in a folder that holds `cells.h5ad` (raw counts of a small simulated differentiation,
with `day`, `cell_type`, `donor` and `pseudotime` in obs) and `data/` (a tiny data folder). Its bash
and Python blocks run in their order; Python blocks share their names. Blocks in other languages
(`text`, `slurm`, `json`) are shown only.
"""

import re
import shutil
from pathlib import Path

import pytest
from terminal import process_restored, run_script

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "sub-packages" / "bionemo-geneformer-t"
DOCS = REPOSITORY / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name != "log.md")
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SMALL_RUN = " --num_epochs 1 --num_workers 0 --final_evaluation false"
SMALL_MODEL = " --hidden_size 16 --num_layers 2 --num_attention_heads 2 --intermediate_size 32"
pytestmark = pytest.mark.usefixtures("without_type_checks")  # as a reader runs it


def smaller(script: str) -> str:
    """The same commands, with training runs cut to one unscored epoch and a tiny new model."""
    lines = []
    for line in script.replace("\\\n", " ").splitlines():
        command, hash_mark, comment = line.partition(" #")
        if re.match(r"geneformer-t train\b", command):
            command += SMALL_RUN + ("" if "--pretrained" in command else SMALL_MODEL)
        lines.append(command + hash_mark + comment)
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the reader's terminal, not ours
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page, example_cells, tiny_data_dir, tmp_path, monkeypatch):
    folder = tmp_path / "reader"
    folder.mkdir()
    example_cells.write_h5ad(folder / "cells.h5ad")
    shutil.copytree(tiny_data_dir, folder / "data")
    monkeypatch.chdir(folder)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "bash":
            run_script(smaller(block), folder)
        else:
            with process_restored():
                exec(compile(block, f"{page.name}: {block[:60]!r}", "exec"), namespace)


def test_pictures_and_links_of_the_pages_exist():
    readmes = REPOSITORY / "README.md", PACKAGE / "README.md"
    for page in [*readmes, *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_training_commands_are_made_smaller_and_nothing_else():
    assert smaller("geneformer-t train --data_dir data  # go") == (
        f"geneformer-t train --data_dir data {SMALL_RUN}{SMALL_MODEL} # go"
    )
    assert SMALL_MODEL not in smaller("geneformer-t train --pretrained weights")
    assert smaller("geneformer-t predict \\\n  --input x") == "geneformer-t predict    --input x"
